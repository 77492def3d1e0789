import type { Sample } from "./sample.ts";

export interface CommandOptions {
  readonly signal: AbortSignal;
  /** Exit codes that are no failure; default 0 alone. */
  readonly accepted?: readonly number[];
}

export interface CommandResult extends Sample {
  readonly stdout: Uint8Array;
}

const STDERR_SHOWN = 2000;
const RSS_MARK = "sociable-bench-rss-kib=";

/**
 * Runs a command without input and measures it. An abort kills it with all that it started.
 *
 * Peak RSS is had where GNU time is installed, which forks the command from its own small process:
 * the kernel's figure begins with the memory of the process that forks, which is this large one.
 */
export async function runCommand(
  command: readonly string[],
  { signal, accepted = [0] }: CommandOptions,
): Promise<CommandResult> {
  signal.throwIfAborted();
  const time = Bun.which("time");
  const timed = time === null ? [] : [time, "--quiet", `--format=${RSS_MARK}%M`];
  const started = performance.now();
  const child = Bun.spawn([...timed, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own, so that all of a pipeline can be killed.
    detached: true,
  });
  const kill = (): void => killGroup(child.pid);
  signal.addEventListener("abort", kill, { once: true });
  try {
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const wallSeconds = (performance.now() - started) / 1000;
    signal.throwIfAborted();
    const [text = "", rssKib] = stderr.split(RSS_MARK);
    if (!accepted.includes(code)) {
      throw new Error(
        `Cannot run "${command.join(" ")}": exit code ${code}, want ${accepted.join(" or ")}: ${text.trim().slice(-STDERR_SHOWN)}`,
      );
    }
    const cpuSeconds = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
    return {
      stdout,
      wallSeconds,
      cpuSeconds,
      ...(rssKib === undefined ? {} : { maxRssBytes: Number(rssKib) * 1024 }),
    };
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** A measured command of which nobody needs the output. */
export async function measureCommand(
  command: readonly string[],
  options: CommandOptions,
): Promise<Sample> {
  const { stdout: _, ...sample } = await runCommand(command, options);
  return sample;
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
