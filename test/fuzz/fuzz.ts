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
  const body = (): void => {
    const property = fc.property(inputs, check);
    const { failed, counterexample, errorInstance, ...details } = fc.check(
      property,
      SECONDS > 0
        ? {
            numRuns: 2 ** 31 - 1,
            interruptAfterTimeLimit: SECONDS * 1000,
            markInterruptAsFailure: false,
          }
        : { numRuns: runs },
    );
    if (failed) {
      const input = fc.stringify(counterexample).slice(0, SHOWN_CHARACTERS);
      const { seed, counterexamplePath: path } = details;
      const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
      throw new Error(`${why}\nFailed with { seed: ${seed}, path: "${path}" }: ${input}`, {
        cause: errorInstance,
      });
    }
    if (SECONDS > 0) process.stderr.write(`${details.numRuns} cases: ${title}\n`);
  };
  // Generous: a busy machine is no failure.
  test(title, body, 60_000 + SECONDS * 2000);
}
