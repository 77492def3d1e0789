import type { Figure, SideReport, Target } from "./row-report.ts";
import { medianOf } from "./statistics.ts";

export interface Comparison {
  readonly ours: string;
  readonly baseline: string;
  /** Default: wall time. */
  readonly by?: "wall" | "CPU";
  readonly target?: Target;
}

/** How many times faster one side's median is than another's. */
export function compareSides(
  sides: readonly SideReport[],
  { ours, baseline, by = "wall", target }: Comparison,
): Figure {
  const seconds = (label: string): number =>
    medianOf(
      sideOf(sides, label).samples.map((sample) =>
        by === "wall" ? sample.wallSeconds : sample.cpuSeconds,
      ),
    );
  return {
    what: `${ours} against ${baseline}, ${by}`,
    value: seconds(baseline) / seconds(ours),
    unit: "x",
    ...(target === undefined ? {} : { target }),
  };
}

/** The most memory that any run of a side had, in bytes; `undefined` where it was not measured. */
export function peakRssOf(sides: readonly SideReport[], label: string): number | undefined {
  const peaks = sideOf(sides, label).samples.flatMap(({ maxRssBytes }) => maxRssBytes ?? []);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

function sideOf(sides: readonly SideReport[], label: string): SideReport {
  const side = sides.find((one) => one.label === label);
  if (side === undefined) throw new Error(`there is no side "${label}"`);
  return side;
}
