import type { LayerSupply } from "./layer-supply.ts";
import type { RowReport } from "./row-report.ts";
import type { Sample } from "./sample.ts";

/** What every row is given. */
export interface BenchContext {
  readonly runs: number;
  readonly signal: AbortSignal;
  readonly layers: LayerSupply;
  /** A copy of dist/sociable: the one that was there at the start, whoever builds meanwhile. */
  readonly binary: string;
  /** The Go soci tool, where it was named. */
  readonly peer: string | undefined;
  /** A registry's directory with the images of the rows of `serve`, where it was named; see serve-stage.ts. */
  readonly images: string | undefined;
  readonly onSample: (label: string, sample: Sample) => void;
}

/** What can be chosen by name; one is several rows where they share their input. */
export interface Bench {
  readonly name: string;
  readonly summary: string;
  run(context: BenchContext): AsyncIterable<RowReport>;
}
