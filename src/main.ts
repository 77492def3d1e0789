import { basename } from "node:path";
import { caughtSignals } from "./cli/caught-signals.ts";
import { Interrupt } from "./cli/cli-io.ts";
import type { CliServices } from "./cli/cli-services.ts";
import { exitCodeOf } from "./cli/exit-code.ts";
import { processIo } from "./cli/process-io.ts";
import { runCli } from "./cli/run-cli.ts";
import {
  spawnFuseWorker,
  spawnInflateWorker,
  spawnIngestWorker,
  spawnTablesWorker,
  spawnZtocWorker,
} from "./workers.ts";

/** What the process is, by the name it was started under (a symbolic link's, too). */
const PERSONALITIES: ReadonlyMap<string, typeof runCli> = new Map<string, typeof runCli>([
  ["sociable", runCli],
  [
    "soci",
    async (argv, options) => (await import("./cli/soci/run-soci.ts")).runSoci(argv, options),
  ],
  [
    "soci-snapshotter-grpc",
    async (argv, options) => {
      const { runSnapshotterGrpc } = await import("./cli/soci-snapshotter-grpc.ts");
      const { runServe } = await import("./cli/run-serve.ts");
      return await runSnapshotterGrpc(argv, { ...options, serve: runServe });
    },
  ],
]);

const services: CliServices = {
  spawnZtocWorker,
  mountThreads: {
    spawnFuse: spawnFuseWorker,
    spawnInflate: spawnInflateWorker,
    spawnTables: spawnTablesWorker,
    spawnIngest: spawnIngestWorker,
  },
  // A compiled binary is the program itself; from source it is Bun that runs this file.
  selfCommand: Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main],
};

const interrupted = new AbortController();
for (const signalName of caughtSignals()) {
  process.on(signalName, () => {
    const reason = new Interrupt(signalName);
    // The first one lets the command clean up; whoever sends a second one does not want to wait.
    if (interrupted.signal.aborted) process.exit(exitCodeOf(reason));
    interrupted.abort(reason);
  });
}

const run = PERSONALITIES.get(basename(process.argv0)) ?? runCli;
process.exit(await run(process.argv.slice(2), { io: processIo(interrupted.signal), services }));
