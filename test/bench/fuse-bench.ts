import { mkdir, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { unmountFuse } from "../../src/sys/unmount-fuse.ts";
import { dropMount } from "../support/fuse-server.ts";
import type { ServeRequest } from "../support/fuse-serve-main.ts";
import { BENCH_BIG_BYTES, BENCH_FILES } from "../support/fuse-trees.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { Bench } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { type FuseWork, RANDOM_READS } from "./fuse-work.ts";
import type { Figure, SideReport } from "./row-report.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { runCommand } from "./run-command.ts";
import type { Sample } from "./sample.ts";
import { medianOf } from "./statistics.ts";

const OURS = "ours";
const PEER = "fuse-native";
const THREADS = 2;
const READAHEAD_BYTES = 1 << 20;
const CLIENT = join(import.meta.dirname, "fuse-client-main.ts");
const OUR_SERVER = join(import.meta.dirname, "../support/fuse-serve-main.ts");
const PEER_SERVER = join(import.meta.dirname, "fuse-native-main.mjs");
const TARGET = { floor: 2, aim: 4 };

interface Row {
  readonly work: FuseWork;
  readonly title: string;
  readonly rate: (seconds: number) => Omit<Figure, "what">;
}

const ROWS: readonly Row[] = [
  {
    work: "sequential",
    title: "FUSE alone: 1 GiB read in order",
    rate: (seconds) => ({ value: BENCH_BIG_BYTES / 1e6 / seconds, unit: "MB/s" }),
  },
  {
    work: "random",
    title: `FUSE alone: ${RANDOM_READS} reads of 4 KiB, none cached`,
    rate: (seconds) => ({ value: RANDOM_READS / seconds, unit: "requests" }),
  },
  {
    work: "stat",
    title: `FUSE alone: stat of ${BENCH_FILES} files, none cached`,
    rate: (seconds) => ({ value: BENCH_FILES / seconds, unit: "files" }),
  },
];

export const fuseBench: Bench = {
  name: "fuse",
  summary: "the kernel protocol against fuse-native under Node, files in memory",
  async *run({ runs, signal, onSample }) {
    await using dir = await tempDir();
    const peer = await peerCommand(dir);
    for (const { work, title, rate } of ROWS) {
      const sides = await runByTurns([ourSide(work), peerSide(work)], { runs, onSample });
      const rates = sides.map((side): Figure => ({
        what: `${side.label}, in a second`,
        ...rate(medianSeconds(side)),
      }));
      yield {
        name: `fuse-${work}`,
        title,
        input:
          "files in the server's memory; a new mount for each run; one client, a process of its own",
        sides,
        figures: [compareSides(sides, { ours: OURS, baseline: PEER, target: TARGET }), ...rates],
      };
    }

    function ourSide(work: FuseWork): Side {
      return {
        label: OURS,
        includes: `${THREADS} threads; the client's time, the server's CPU with its start; readahead 1 MiB`,
        measure: () =>
          measureMount({
            work,
            dir,
            signal,
            server: (directory) => {
              const request: ServeRequest = {
                directory,
                tree: "bench",
                threads: THREADS,
                readaheadBytes: READAHEAD_BYTES,
              };
              return { command: [process.execPath, OUR_SERVER, JSON.stringify(request)] };
            },
          }),
      };
    }

    function peerSide(work: FuseWork): Side {
      return {
        label: PEER,
        includes: "libfuse 2 and the readahead (128 KiB) as the package brings them",
        measure: () => measureMount({ work, dir, signal, server: peer }),
      };
    }
  },
};

interface ServerCommand {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

type ServerOf = (directory: string) => ServerCommand;

/** The package brings its libfuse under a name that the linker does not look for. */
async function peerCommand(dir: TempDir): Promise<ServerOf> {
  const node = Bun.which("node");
  if (node === null) throw new Error("node is not installed");
  const main = createRequire(import.meta.url).resolve("fuse-native");
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const library = join(dirname(main), "prebuilds", `linux-${arch}`, "libfuse.so");
  if (!(await Bun.file(library).exists())) throw new Error(`fuse-native has no "${library}"`);
  await mkdir(dir.join("lib"));
  await symlink(library, dir.join("lib", "libfuse.so.2"));
  return (directory) => ({
    command: [node, PEER_SERVER, directory, String(BENCH_BIG_BYTES), String(BENCH_FILES)],
    env: { LD_LIBRARY_PATH: dir.join("lib") },
  });
}

interface MountRun {
  readonly work: FuseWork;
  readonly dir: TempDir;
  readonly signal: AbortSignal;
  readonly server: ServerOf;
}

async function measureMount({ work, dir, signal, server }: MountRun): Promise<Sample> {
  const directory = dir.join("mount");
  await mkdir(directory, { recursive: true });
  const { command, env } = server(directory);
  const child = Bun.spawn([...command], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  try {
    // It says something once it serves.
    if ((await child.stdout.getReader().read()).done)
      throw new Error(`${command[0]} did not mount`);
    const client = [process.execPath, CLIENT, work, directory];
    const { stdout } = await runCommand(client, { signal });
    const { wallSeconds } = JSON.parse(new TextDecoder().decode(stdout)) as Sample; // of our own program
    await unmountFuse(directory);
    // The peer would stay.
    child.kill();
    await child.exited;
    const cpuSeconds = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
    return { wallSeconds, cpuSeconds };
  } finally {
    await dropMount(directory);
    child.kill("SIGKILL");
    await child.exited;
  }
}

function medianSeconds({ samples }: SideReport): number {
  return medianOf(samples.map(({ wallSeconds }) => wallSeconds));
}
