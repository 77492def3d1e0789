import { resolve } from "node:path";
import { firstProblem } from "../../config/config.ts";
import { jsonSink } from "../../observability/json-sink.ts";
import { logLevelOf } from "../../observability/log-level-of.ts";
import { createLogger, type Logger } from "../../observability/log.ts";
import { textSink } from "../../observability/text-sink.ts";
import type { CliIo } from "../cli-io.ts";
import { Interrupt } from "../cli-io.ts";
import { defineCommand } from "../command.ts";
import { DEFAULT_CONFIG_FILES, readConfigFile } from "../config-file.ts";
import { primaryErrorOf } from "../primary-error.ts";
import { runServe } from "../run-serve.ts";
import { VERSION_INFO } from "../version.ts";

export const serveCommand = defineCommand({
  name: "serve",
  summary: "Serve containerd with images that are not here yet",
  description:
    'A remote snapshotter: containerd asks for the layers of an image, and gets those that have a SOCI index at once; what containers read is fetched then, verified, and kept. It stays in the foreground, writes its log as JSON lines to standard error and tells systemd when it is ready. SIGTERM or Ctrl-C ends it; containers go on, and wait with what they read for the next one, which takes their file systems over: at an upgrade nobody notices.\n\nIn containerd\'s config.toml:\n\n  [proxy_plugins.sociable]\n    type = "snapshot"\n    address = "/run/sociable/sociable.sock"',
  examples: [
    {
      command: "sociable serve",
      explanation: "As /etc/sociable/config.toml says; everything has a default",
    },
    {
      command: "sociable serve --config ./config.toml --log-level debug --log-format text",
      explanation: "Watch what it does, in a terminal",
    },
  ],
  args: [],
  flags: {
    config: {
      type: "string",
      short: "c",
      valueName: "FILE",
      description: `Configuration file, TOML; ${DEFAULT_CONFIG_FILES.sociable} by default, if it is there`,
    },
    address: {
      type: "string",
      valueName: "ADDRESS",
      description:
        "Socket to serve at: a path, unix://PATH, or fd:// for the one that systemd passes; /run/sociable/sociable.sock by default",
    },
    drain: {
      type: "boolean",
      description:
        "When it ends, unmount also what containers use, and say which, instead of leaving it to the next one",
    },
  },
  async run({ flags, io, argv, services, root: stateRoot, signal }) {
    const path = flags.config === undefined ? undefined : resolve(io.cwd, flags.config);
    const read = await readConfigFile({ path, personality: "sociable", io });
    const problem = firstProblem(read.file, read.problems);
    if (problem !== undefined) throw problem;
    const config = {
      ...read.config,
      // A flag comes before the file, and the file before what is usual.
      root: resolve(io.cwd, isGiven(argv, "root") ? stateRoot : read.config.root),
      address: flags.address ?? read.config.address,
    };
    const log = serveLog(io, argv, config.logLevel);
    log.info("starting sociable", {
      version: VERSION_INFO.version,
      revision: VERSION_INFO.commit,
      config: read.isThere ? read.file : "",
    });
    for (const { line, key, detail } of read.warnings) {
      log.warn("config key has no effect", { file: read.file, line, key, detail });
    }
    const onAbort = (): void => {
      const { reason } = signal;
      log.info("stopping", { signal: reason instanceof Interrupt ? reason.signalName : "" });
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await runServe({
        config,
        log,
        io,
        services,
        signal,
        personality: "sociable",
        drains: flags.drain,
      });
    } catch (error) {
      // A signal that comes before it serves is an end like any other.
      if (!signal.aborted || primaryErrorOf(error) !== signal.reason) throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    log.info("stopped");
  },
});

/** Unlike other commands a daemon logs JSON, at the level of its configuration, unless it is told otherwise. */
function serveLog(io: CliIo, argv: readonly string[], configured: string): Logger {
  const write = (line: string): void => io.stderr.write(line);
  const format = givenFlag(argv, "log-format") ?? "json";
  const level = logLevelOf(givenFlag(argv, "log-level") ?? configured) ?? "info";
  return createLogger({ sink: format === "text" ? textSink(write) : jsonSink(write), level });
}

function isGiven(argv: readonly string[], flag: string): boolean {
  return givenFlag(argv, flag) !== undefined;
}

/** The value of a flag of the whole program on the command line, which has been parsed and is right. */
function givenFlag(argv: readonly string[], flag: string): string | undefined {
  const at = argv.findLastIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`));
  const word = argv[at];
  if (word === undefined) return undefined;
  return word === `--${flag}` ? argv[at + 1] : word.slice(flag.length + 3);
}
