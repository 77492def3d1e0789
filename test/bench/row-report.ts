import type { Sample } from "./sample.ts";

/** What was asked of a figure: the least that must be reached, and what is aimed at. */
export interface Target {
  readonly floor: number;
  readonly aim: number;
  /** Whether smaller is better. */
  readonly isLimit?: boolean;
}

export type FigureUnit =
  | "x"
  | "MB/s"
  | "MB"
  | "MiB"
  | "s"
  | "ms"
  | "µs"
  | "rounds"
  | "requests"
  | "spans"
  | "files"
  | "containers"
  | "reads/s";

/** A number that follows from the measurements. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: FigureUnit;
  readonly target?: Target;
}

/** One side of a row: a program, what its time includes, and what its runs took. */
export interface SideReport {
  readonly label: string;
  readonly includes: string;
  readonly samples: readonly Sample[];
}

/** One row of the table: sides that ran by turns in one go, and how they compare. */
export interface RowReport {
  readonly name: string;
  readonly title: string;
  /** What was worked on. */
  readonly input: string;
  readonly sides: readonly SideReport[];
  readonly figures: readonly Figure[];
  readonly notes?: readonly string[];
}
