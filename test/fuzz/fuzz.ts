import { test } from "bun:test";
import fc from "fast-check";

/** Set by `npm run check -- --fuzz SECONDS`: how long each fuzz test runs instead of its few cases. */
const SECONDS = Number(process.env["SOCIABLE_FUZZ_SECONDS"] ?? 0);

export interface FuzzOptions {
  /** Cases of an ordinary run; a long run goes by time alone. */
  readonly runs: number;
}

/** How much of a failing input is printed: its seed brings it back. */
const SHOWN_CHARACTERS = 3000;

/** A test that `check` holds for whatever `inputs` makes; a failure prints seed and smallest input. */
export function fuzz<T>(
  title: string,
  { runs }: FuzzOptions,
  inputs: fc.Arbitrary<T>,
  check: (input: T) => void,
): void {
  test(
    title,
    () => report(title, fc.check(fc.property(inputs, check), parametersOf(runs))),
    LIMIT_MS,
  );
}

/** The same of a check that waits. */
export function fuzzAsync<T>(
  title: string,
  { runs }: FuzzOptions,
  inputs: fc.Arbitrary<T>,
  check: (input: T) => Promise<void>,
): void {
  const property = fc.asyncProperty(inputs, check);
  test(title, async () => report(title, await fc.check(property, parametersOf(runs))), LIMIT_MS);
}

// Generous: a busy machine is no failure.
const LIMIT_MS = 60_000 + SECONDS * 2000;

function parametersOf(runs: number) {
  if (SECONDS === 0) return { numRuns: runs };
  const interruptAfterTimeLimit = SECONDS * 1000;
  return { numRuns: 2 ** 31 - 1, interruptAfterTimeLimit, markInterruptAsFailure: false };
}

function report<T>(title: string, details: fc.RunDetails<[T]>): void {
  if (!details.failed) {
    if (SECONDS > 0) process.stderr.write(`${details.numRuns} cases: ${title}\n`);
    return;
  }
  const { counterexample, errorInstance, seed, counterexamplePath: path } = details;
  const input = fc.stringify(counterexample).slice(0, SHOWN_CHARACTERS);
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  throw new Error(`${why}\nFailed with { seed: ${seed}, path: "${path}" }: ${input}`, {
    cause: errorInstance,
  });
}
