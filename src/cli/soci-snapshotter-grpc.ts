import { resolve } from "node:path";
import { type Config, firstProblem } from "../config/config.ts";
import { LOG_LEVEL_NAMES } from "../config/daemon-keys.ts";
import { formatConfig, formatDefaults } from "../config/format-config.ts";
import { SociError } from "../errors.ts";
import { errorText } from "../observability/error-text.ts";
import { jsonSink } from "../observability/json-sink.ts";
import { createLogger, type LogSink } from "../observability/log.ts";
import { logLevelOf } from "../observability/log-level-of.ts";
import { type CliIo, Interrupt, OutputClosed } from "./cli-io.ts";
import type { CliServices } from "./cli-services.ts";
import { DEFAULT_CONFIG_FILES, readConfigFile } from "./config-file.ts";
import { EXIT_DONE, EXIT_FAILED } from "./exit-code.ts";
import { primaryErrorOf } from "./primary-error.ts";
import type { ServeFunction } from "./serve-function.ts";
import {
  parseSnapshotterGrpc,
  type SnapshotterGrpcCommandLine,
  snapshotterGrpcHelp,
} from "./snapshotter-grpc-flags.ts";
import { VERSION_INFO } from "./version.ts";

export interface RunSnapshotterGrpcOptions {
  readonly io: CliIo;
  readonly services: CliServices;
  readonly serve: ServeFunction;
}

const NAME = "soci-snapshotter-grpc";

// As Go names them.
const SIGNAL_NAMES = { SIGHUP: "hangup", SIGINT: "interrupt", SIGTERM: "terminated" } as const;

/**
 * Runs one command line of `soci-snapshotter-grpc`, with the Go snapshotter's flags, texts and exit
 * codes, and resolves to the exit code. Never rejects: what ends it is one log line of level `fatal`.
 */
export async function runSnapshotterGrpc(
  argv: readonly string[],
  { io, services, serve }: RunSnapshotterGrpcOptions,
): Promise<number> {
  const sink = jsonSink((line) => io.stderr.write(line));
  try {
    const commandLine = parsed(argv, io);
    if (commandLine === undefined) return EXIT_FAILED;
    return await run(commandLine, { io, services, serve, sink });
  } catch (thrown) {
    const error = primaryErrorOf(thrown);
    if (error instanceof OutputClosed) return EXIT_DONE;
    const { message, cause } = thrown instanceof Fatal ? thrown : fatalOf(thrown);
    const fields = cause === undefined ? {} : { error: cause };
    sink({ time: new Date(), level: "fatal", message, fields });
    return EXIT_FAILED;
  }
}

/** What ends the process, in the Go snapshotter's words. */
class Fatal extends Error {
  override readonly name = "Fatal";
}

function fatalOf(error: unknown): Fatal {
  // What the Go snapshotter says of an address is the whole message, too.
  const text = errorText(error);
  return text.startsWith("unknown protocol")
    ? new Fatal(text)
    : new Fatal("failed to serve", { cause: error });
}

/** `undefined` when it is no such command line, which is said. */
function parsed(argv: readonly string[], io: CliIo): SnapshotterGrpcCommandLine | undefined {
  try {
    return parseSnapshotterGrpc(argv, io);
  } catch (error) {
    if (!(error instanceof SociError)) throw error;
    io.stderr.write(`Incorrect Usage: ${error.message}\n\n${snapshotterGrpcHelp()}`);
    return undefined;
  }
}

async function run(
  { action, values }: SnapshotterGrpcCommandLine,
  { io, services, serve, sink }: RunSnapshotterGrpcOptions & { readonly sink: LogSink },
): Promise<number> {
  switch (action) {
    case "help":
    case "config help":
      await io.stdout.write(snapshotterGrpcHelp());
      return EXIT_DONE;
    case "version": {
      const { version, commit } = VERSION_INFO;
      await io.stdout.write(`${NAME} version ${version} ${commit}\n`);
      return EXIT_DONE;
    }
    case "config default":
      await io.stdout.write(formatDefaults(NAME, { marks: false }));
      return EXIT_DONE;
    case "config dump": {
      const { config } = await configOf(values, io);
      await io.stdout.write(formatConfig(config, { marks: false }));
      return EXIT_DONE;
    }
    case "serve":
      break;
  }
  const { file, config, warnings } = await configOf(values, io);
  // Every name that the configuration knows has a level.
  const log = createLogger({ sink, level: logLevelOf(config.logLevel) ?? "info" });
  log.info(`starting ${NAME}`, { version: VERSION_INFO.version, revision: VERSION_INFO.commit });
  for (const { line, key, detail } of warnings) {
    log.warn("config key has no effect", { file, line, key, detail });
  }
  const onAbort = (): void => {
    const { reason } = io.signal;
    log.info(`Got ${reason instanceof Interrupt ? SIGNAL_NAMES[reason.signalName] : "interrupt"}`);
  };
  if (io.signal.aborted) onAbort();
  else io.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await serve({ config, log, io, services, signal: io.signal, personality: NAME });
  } catch (error) {
    // A signal that comes before it serves is an end like any other.
    if (!io.signal.aborted || primaryErrorOf(error) !== io.signal.reason) throw error;
  } finally {
    io.signal.removeEventListener("abort", onAbort);
  }
  log.info("Exiting");
  return EXIT_DONE;
}

async function configOf(
  values: SnapshotterGrpcCommandLine["values"],
  io: CliIo,
): Promise<{
  readonly file: string;
  readonly config: Config;
  readonly warnings: Awaited<ReturnType<typeof readConfigFile>>["warnings"];
}> {
  const named = values.config ?? DEFAULT_CONFIG_FILES[NAME];
  const path = resolve(io.cwd, named);
  let read: Awaited<ReturnType<typeof readConfigFile>>;
  try {
    read = await readConfigFile({ path, personality: NAME, io });
  } catch (cause) {
    throw new Fatal(`failed to open config file ${JSON.stringify(named)}`, { cause });
  }
  const { file, warnings } = read;
  const problem = firstProblem(file, read.problems);
  if (problem !== undefined) {
    throw new Fatal(`failed to load config file ${JSON.stringify(named)}`, { cause: problem });
  }
  const config = {
    ...read.config,
    root: resolve(io.cwd, values.root ?? read.config.root),
    address: values.address ?? read.config.address,
    logLevel: levelOf(values["log-level"]) ?? read.config.logLevel,
  };
  return { file, config, warnings };
}

function levelOf(name: string | undefined): Config["logLevel"] | undefined {
  if (name === undefined) return undefined;
  const known = LOG_LEVEL_NAMES.find((level) => level === name.toLowerCase());
  if (known !== undefined) return known;
  throw new Fatal("failed to prepare logger", {
    cause: new SociError("invalid-argument", `not a valid logrus Level: ${JSON.stringify(name)}`),
  });
}
