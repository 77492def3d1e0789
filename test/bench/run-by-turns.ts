import type { SideReport } from "./row-report.ts";
import type { Sample } from "./sample.ts";

/** A program that is measured. */
export interface Side {
  readonly label: string;
  /** What its time includes, so that nobody compares unlike things unknowingly. */
  readonly includes: string;
  /** One run; `run` counts from 0, the warm-up is -1. */
  measure(run: number): Promise<Sample>;
}

export interface TurnsOptions {
  readonly runs: number;
  /** Whether each side runs once beforehand, not counted: page cache and clock rates settle. Default true. */
  readonly warmUp?: boolean;
  readonly onSample?: (label: string, sample: Sample) => void;
}

/**
 * Measures the sides by turns, A B A B: what else happens on the machine hits all of them alike.
 * One at a time; the first failure is thrown.
 */
export async function runByTurns(
  sides: readonly Side[],
  { runs, warmUp = true, onSample }: TurnsOptions,
): Promise<readonly SideReport[]> {
  const measured = sides.map(({ label, includes }) => ({
    label,
    includes,
    samples: [] as Sample[],
  }));
  for (let run = warmUp ? -1 : 0; run < runs; run++) {
    for (const [i, side] of sides.entries()) {
      const sample = await side.measure(run);
      if (run < 0) continue;
      measured[i]?.samples.push(sample);
      onSample?.(side.label, sample);
    }
  }
  return measured;
}
