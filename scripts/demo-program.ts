import { existsSync } from "node:fs";
import { SociError } from "../src/errors.ts";
import { BINARY, projectPath } from "./project.ts";

/** How sociable is run. */
export interface Program {
  readonly argv: readonly string[];
  /** What it is, in lines for people. */
  readonly kind: readonly string[];
}

/** What one run printed, and how long it took. */
export interface ProgramRun {
  /** 0, unless other codes are accepted. */
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunProgramOptions {
  readonly signal: AbortSignal;
  /** Its progress goes to this terminal. */
  readonly showProgress?: boolean;
  /** Beside this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Codes to end with that are no failure, beside 0. */
  readonly accept?: readonly number[];
  /** What an abort sends it; SIGTERM, on which it cleans up, unless it would pass that on. */
  readonly abortWith?: NodeJS.Signals;
}

/** The executable, made now; the sources where it cannot be made. */
export async function findProgram(signal: AbortSignal): Promise<Program> {
  const build = await runProgram([process.execPath, projectPath("scripts/build.ts")], {
    signal,
  }).catch((error: unknown) => error);
  signal.throwIfAborted();
  if (!(build instanceof Error) && existsSync(BINARY)) {
    return { argv: [BINARY], kind: ["dist/sociable, as npm run build makes it"] };
  }
  const reason = build instanceof Error ? build.message : "there is no dist/sociable";
  return {
    argv: [process.execPath, projectPath("src/main.ts")],
    kind: [
      "sociable from its sources, for the executable could not be built:",
      ...reason.trim().split("\n").slice(-2),
    ],
  };
}

/** Runs a program to its end. @throws when it fails, with what it said; the signal's reason */
export async function runProgram(
  argv: readonly string[],
  { signal, showProgress = false, env = {}, accept = [], abortWith = "SIGTERM" }: RunProgramOptions,
): Promise<ProgramRun> {
  signal.throwIfAborted();
  const started = performance.now();
  const child = Bun.spawn([...argv], {
    stdio: ["ignore", "pipe", showProgress && process.stderr.isTTY ? "inherit" : "pipe"],
    env: { ...process.env, ...env },
  });
  const onAbort = (): void => child.kill(abortWith);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr ?? null).text(),
      child.exited,
    ]);
    signal.throwIfAborted();
    if (code !== 0 && !accept.includes(code)) {
      throw new SociError(
        "failed-precondition",
        `Cannot go on: "${argv.join(" ").slice(0, 200)}" exited with ${code}: ${stderr.trim()}`,
      );
    }
    return { code, stdout, stderr, ms: performance.now() - started };
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
