import { join } from "node:path";
import type { Candidate, Choice } from "./demo-choice.ts";
import type { Cost } from "./demo-download.ts";
import type { DemoOutput } from "./demo-output.ts";
import {
  type Program,
  type ProgramRun,
  type RunProgramOptions,
  runProgram,
} from "./demo-program.ts";

/** What every step of the demo works with. */
export interface Stage {
  readonly output: DemoOutput;
  readonly program: Program;
  /** For everything that is written. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** A file to read, and what it must be. */
export interface Specimen {
  readonly choice: Choice<Candidate>;
  isRight(bytes: Uint8Array): Promise<boolean>;
}

/** A specimen that was read, and what that has cost. */
export interface SpecimenRead {
  readonly choice: Choice<Candidate>;
  readonly bytes: Uint8Array;
  readonly cost: Cost;
}

/** Runs sociable with its state in a directory of that name, in the demo's. */
export async function sociable(
  { directory, program, signal }: Stage,
  root: string,
  [command = "", ...rest]: readonly string[],
  options: Omit<RunProgramOptions, "signal"> = {},
): Promise<ProgramRun> {
  const argv = [...program.argv, command, "--root", join(directory, root), ...rest];
  return await runProgram(argv, { ...options, signal });
}
