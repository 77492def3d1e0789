import { errorText } from "../../observability/error-text.ts";
import { createLogger } from "../../observability/log.ts";
import { SociError } from "../../errors.ts";
import { type CliIo, Interrupt, OutputClosed } from "../cli-io.ts";
import type { CliServices } from "../cli-services.ts";
import { EXIT_DONE, EXIT_FAILED, exitCodeOf } from "../exit-code.ts";
import { primaryErrorOf } from "../primary-error.ts";
import { safeText } from "../safe-text.ts";
import { VERSION_INFO } from "../version.ts";
import { type GoFlagValues, GoUsageError, parseGoFlags } from "./go-flags.ts";
import { logrusSink } from "./logrus-sink.ts";
import type { SociCommand, SociEntry, SociGroup } from "./soci-command.ts";
import { SOCI_COMMANDS } from "./soci-commands.ts";
import { SociContext } from "./soci-context.ts";
import { GLOBAL_FLAGS } from "./soci-flags.ts";
import { sociHelp } from "./soci-help.ts";

export interface RunSociOptions {
  readonly io: CliIo;
  readonly services: CliServices;
}

const NAME = "soci";
/** Of a command that there is not. */
const EXIT_NO_COMMAND = 3;

/**
 * Runs one command line of `soci`, with the Go tool's commands, flags, texts and exit codes, and resolves to
 * the exit code. Never rejects: a failure is one line on standard error.
 */
export async function runSoci(
  argv: readonly string[],
  { io, services }: RunSociOptions,
): Promise<number> {
  try {
    return await run(argv, { io, services });
  } catch (thrown) {
    const error = primaryErrorOf(thrown);
    if (error instanceof OutputClosed) return EXIT_DONE;
    if (io.signal.aborted && io.signal.reason instanceof Interrupt) {
      io.stderr.write(`${NAME}: context canceled\n`);
      return exitCodeOf(io.signal.reason);
    }
    if (error instanceof NoCommand) {
      io.stderr.write(`${error.message}\n`);
      return EXIT_NO_COMMAND;
    }
    io.stderr.write(`${NAME}: ${messageOf(error)}\n`);
    return EXIT_FAILED;
  }
}

class NoCommand extends Error {
  override readonly name = "NoCommand";
}

async function run(argv: readonly string[], { io, services }: RunSociOptions): Promise<number> {
  const top = await parse(argv, { entry: SOCI_COMMANDS, path: [NAME], io });
  if (top.asksForHelp) return await say(sociHelp(SOCI_COMMANDS, [NAME]), io);
  if (top.asksForVersion) {
    const { version, commit } = VERSION_INFO;
    return await say(`${NAME} version ${version} ${commit}\n`, io);
  }
  return await runEntry(SOCI_COMMANDS, {
    words: top.words,
    path: [NAME],
    globals: top.values,
    io,
    services,
  });
}

interface RunEntryOptions extends RunSociOptions {
  /** What follows the words that lead to the entry. */
  readonly words: readonly string[];
  readonly path: readonly string[];
  readonly globals: GoFlagValues;
}

async function runEntry(entry: SociEntry, options: RunEntryOptions): Promise<number> {
  const { words, path, io } = options;
  if (!("entries" in entry)) return await runCommand(entry, options);
  const parsed =
    entry === SOCI_COMMANDS
      ? { words, asksForHelp: false }
      : await parse(words, { entry, path, io });
  const [name, ...rest] = parsed.words;
  if (parsed.asksForHelp || name === undefined) return await say(sociHelp(entry, path), io);
  if (name === "help" || name === "h") return await help(entry, { words: rest, path, io });
  const next = find(entry, name);
  return await runEntry(next, { ...options, words: rest, path: [...path, next.name] });
}

async function help(
  entry: SociEntry,
  {
    words: [name, ...rest],
    path,
    io,
  }: { readonly words: readonly string[]; readonly path: readonly string[]; readonly io: CliIo },
): Promise<number> {
  if (name === undefined) return await say(sociHelp(entry, path), io);
  if (!("entries" in entry)) throw new NoCommand(`No help topic for '${safeText(name)}'`);
  const next = find(entry, name);
  return await help(next, { words: rest, path: [...path, next.name], io });
}

function find({ entries }: SociGroup, name: string): SociEntry {
  const found = entries.find(
    (entry) => entry.name === name || ("aliases" in entry && entry.aliases?.includes(name)),
  );
  if (found !== undefined) return found;
  throw new NoCommand(`No help topic for '${safeText(name)}'`);
}

async function runCommand(
  command: SociCommand,
  { words, path, globals, io, services }: RunEntryOptions,
): Promise<number> {
  const parsed = await parse(words, { entry: command, path, io });
  if (parsed.asksForHelp) return await say(sociHelp(command, path), io);
  const timeoutMs = globals.milliseconds("timeout");
  const signal =
    timeoutMs > 0 ? AbortSignal.any([io.signal, AbortSignal.timeout(timeoutMs)]) : io.signal;
  const log = createLogger({
    sink: logrusSink((line) => io.stderr.write(line)),
    level: globals.bool("debug") ? "debug" : "info",
  });
  await using context = new SociContext({ globals, io, services, log, signal });
  if (command.needsNoRoot?.(parsed.values) !== true) await context.prepareRoot();
  await command.run(context, { flags: parsed.values, words: parsed.words });
  return EXIT_DONE;
}

async function parse(
  argv: readonly string[],
  {
    entry,
    path,
    io,
  }: { readonly entry: SociEntry; readonly path: readonly string[]; readonly io: CliIo },
) {
  const isTop = path.length === 1;
  try {
    return parseGoFlags(argv, {
      flags: "entries" in entry ? (isTop ? GLOBAL_FLAGS : []) : entry.flags,
      env: io.env,
      stopsAtWord: "entries" in entry,
    });
  } catch (error) {
    if (!(error instanceof GoUsageError)) throw error;
    io.stderr.write(`Incorrect Usage: ${safeText(error.message)}\n\n`);
    await io.stdout.write(sociHelp(entry, path));
    throw error;
  }
}

async function say(text: string, io: CliIo): Promise<number> {
  await io.stdout.write(text);
  return EXIT_DONE;
}

/** An error and its causes as Go chains them, without those that only name the call that was made. */
function messageOf(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") return "context deadline exceeded";
  if (error instanceof GoUsageError) return safeText(error.message);
  if (!(error instanceof SociError) || !isOurs(error)) {
    return safeText(error instanceof SociError ? error.message : errorText(error));
  }
  const text = errorText(error);
  return safeText(error.hint === undefined ? text : `${text} (${error.hint})`);
}

/** Whether the message is one of ours, which say less than their causes; the Go tool's words say it all. */
function isOurs({ message }: SociError): boolean {
  return message.startsWith("Cannot ");
}
