import { type ErrorKind, SociError } from "../errors.ts";
import { FailedElsewhere, Interrupt, OutputClosed } from "./cli-io.ts";
import { primaryErrorOf } from "./primary-error.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** 128 and the signal's number, as a shell reports a process killed by it. */
const EXIT_BY_SIGNAL = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

const EXIT_BY_KIND: Readonly<Record<ErrorKind, number>> = {
  "invalid-argument": EXIT_USAGE,
  "not-found": EXIT_FAILED,
  "already-exists": EXIT_FAILED,
  "failed-precondition": EXIT_FAILED,
  unauthenticated: EXIT_FAILED,
  "permission-denied": EXIT_FAILED,
  unavailable: EXIT_FAILED,
  "data-loss": EXIT_FAILED,
  unsupported: EXIT_FAILED,
  internal: EXIT_FAILED,
};

/** The only place where an error becomes an exit code (ARCHITECTURE.md, "Errors"). */
export function exitCodeOf(thrown: unknown): number {
  const error = primaryErrorOf(thrown);
  if (error instanceof OutputClosed) return EXIT_DONE;
  if (error instanceof Interrupt) return EXIT_BY_SIGNAL[error.signalName];
  if (error instanceof FailedElsewhere) return error.exitCode;
  if (error instanceof SociError) return EXIT_BY_KIND[error.kind];
  return EXIT_FAILED;
}
