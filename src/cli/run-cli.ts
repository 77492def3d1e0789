import { resolve } from "node:path";
import { defaultStateRoot } from "../config/state-root.ts";
import { SociError } from "../errors.ts";
import { jsonSink } from "../observability/json-sink.ts";
import { type Logger, createLogger } from "../observability/log.ts";
import { textSink } from "../observability/text-sink.ts";
import {
  type CliIo,
  type ErrorStream,
  FailedElsewhere,
  Interrupt,
  OutputClosed,
  type OutputStream,
} from "./cli-io.ts";
import type { CliServices } from "./cli-services.ts";
import { formatReport, reportOf } from "./error-report.ts";
import { EXIT_DONE, EXIT_USAGE, exitCodeOf } from "./exit-code.ts";
import { GLOBAL_FLAGS, TOP_FLAGS } from "./global-flags.ts";
import { type HelpOptions, renderCommandHelp, renderGroupHelp } from "./help.ts";
import { parseCommandLine } from "./parse-command-line.ts";
import { asksForHelp, parseFlags } from "./parse-flags.ts";
import { primaryErrorOf } from "./primary-error.ts";
import type { CommandGroup } from "./registry-entry.ts";
import { commandRegistry } from "./registry.ts";
import { type Selection, selectCommand } from "./select-command.ts";
import { TerminalProgress } from "./terminal-progress.ts";
import { versionText } from "./version.ts";
import { wantsColor } from "./wants-color.ts";

export interface RunCliOptions {
  readonly io: CliIo;
  readonly services: CliServices;
  /** The commands there are. */
  readonly registry?: CommandGroup;
}

interface RunCommandOptions {
  readonly io: CliIo;
  readonly services: CliServices;
  readonly reporter: ErrorReporter;
  readonly registry: CommandGroup;
  readonly commandLine: readonly string[];
}

const PROGRAM = "sociable";

type Selected<K extends Selection["kind"]> = Extract<Selection, { readonly kind: K }>;

/**
 * Runs one command line (without the program's name) and resolves to its exit code. Never rejects:
 * every error ends as text on `io.stderr` (or as a JSON log line where --log-format asks for it).
 */
export async function runCli(
  argv: readonly string[],
  { io, services, registry = commandRegistry }: RunCliOptions,
): Promise<number> {
  const reporter = new ErrorReporter(io);
  try {
    const selection = selectCommand(argv, { registry, program: PROGRAM });
    if (selection.kind === "group") return await runGroup(selection, { io, registry });
    return await runCommand(selection, { io, services, reporter, registry, commandLine: argv });
  } catch (error) {
    return reporter.report(error);
  }
}

function lookOf(io: CliIo, stream: { readonly isTty: boolean }): Omit<HelpOptions, "path"> {
  return { color: wantsColor(io, stream), width: stream.isTty ? io.stderr.columns : undefined };
}

async function runGroup(
  { group, path, argv }: Selected<"group">,
  { io, registry }: { readonly io: CliIo; readonly registry: CommandGroup },
): Promise<number> {
  const isTop = group === registry;
  const flags = isTop ? { ...GLOBAL_FLAGS, ...TOP_FLAGS } : GLOBAL_FLAGS;
  const { values } = parseFlags(argv, { flags, path });
  if (values["help"] === true) {
    const help = await renderGroupHelp(group, { path, isTop, ...lookOf(io, io.stdout) });
    await io.stdout.write(help);
    return EXIT_DONE;
  }
  if (values["version"] === true) {
    await io.stdout.write(`${versionText()}\n`);
    return EXIT_DONE;
  }
  // No command: the same help, but as an answer to bad usage.
  io.stderr.write(await renderGroupHelp(group, { path, isTop, ...lookOf(io, io.stderr) }));
  return EXIT_USAGE;
}

async function runCommand(
  { entry, path, argv }: Selected<"command">,
  { io, services, reporter, registry, commandLine }: RunCommandOptions,
): Promise<number> {
  const command = await entry.load();
  if (asksForHelp(argv, { ...command.flags, ...GLOBAL_FLAGS })) {
    const help = await renderCommandHelp(command, { path, ...lookOf(io, io.stdout) });
    await io.stdout.write(help);
    return EXIT_DONE;
  }
  const { args, flags, globals } = parseCommandLine(argv, { command, path });
  using progress = new TerminalProgress(io.stderr);
  const write = (line: string) => progress.writeAbove(line);
  const log = createLogger({
    sink: globals["log-format"] === "json" ? jsonSink(write) : textSink(write),
    level: globals["log-level"],
  });
  reporter.configure({
    log: globals["log-format"] === "json" ? log : undefined,
    debug: globals["log-level"] === "debug",
  });
  await command.run({
    args,
    flags,
    io: { ...io, stdout: besideProgress(io, progress), stderr: aboveProgress(io, progress) },
    log,
    get root() {
      return globals.root === undefined ? defaultStateRoot(io) : resolve(io.cwd, globals.root);
    },
    signal: io.signal,
    progress,
    services,
    argv: commandLine,
    registry,
  });
  return EXIT_DONE;
}

/** Standard output that takes the progress away first where both share a terminal. */
function besideProgress({ stdout, stderr }: CliIo, progress: TerminalProgress): OutputStream {
  if (!stdout.isTty || !stderr.isTty) return stdout;
  return {
    isTty: true,
    write(chunk) {
      progress.aboutToWrite(chunk);
      return stdout.write(chunk);
    },
  };
}

/** Standard error for what a command says while its progress is shown there. */
function aboveProgress({ stderr }: CliIo, progress: TerminalProgress): ErrorStream {
  return {
    isTty: stderr.isTty,
    get columns() {
      return stderr.columns;
    },
    get rows() {
      return stderr.rows;
    },
    write: (text) => progress.writeAbove(text),
  };
}

/** Says what went wrong, in the form that the command line asked for, once that is known. */
class ErrorReporter {
  readonly #io: CliIo;
  #log: Logger | undefined;
  #debug = false;

  constructor(io: CliIo) {
    this.#io = io;
  }

  configure({ log, debug }: { readonly log: Logger | undefined; readonly debug: boolean }): void {
    this.#log = log;
    this.#debug = debug;
  }

  /** Returns the exit code. */
  report(error: unknown): number {
    const cause = this.#rootOf(error);
    const isSaid = cause instanceof OutputClosed || cause instanceof FailedElsewhere;
    if (isSaid) return exitCodeOf(cause);
    const report = reportOf(cause);
    if (this.#log === undefined) {
      this.#io.stderr.write(formatReport(report, { program: PROGRAM, debug: this.#debug }));
    } else {
      const { message, causes, hint, stack } = report;
      this.#log.error(message, {
        ...(cause instanceof SociError ? { kind: cause.kind } : {}),
        ...(causes.length === 0 ? {} : { causes }),
        ...(hint === undefined ? {} : { hint }),
        ...(stack === undefined || !this.#debug ? {} : { stack }),
      });
    }
    return exitCodeOf(cause);
  }

  /** After an interrupt, and once nobody reads the output, every other failure follows from that. */
  #rootOf(error: unknown): unknown {
    const { signal } = this.#io;
    if (signal.aborted && signal.reason instanceof Interrupt) return signal.reason;
    for (let link = primaryErrorOf(error); link instanceof Error; link = link.cause) {
      if (link instanceof OutputClosed) return link;
    }
    return error;
  }
}
