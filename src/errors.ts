/**
 * What the caller of a failed operation should do about it. Each kind becomes a gRPC status, an
 * errno, an exit code and a retry decision in exactly one file each (ARCHITECTURE.md, "Errors").
 */
export type ErrorKind =
  | "invalid-argument"
  | "not-found"
  | "already-exists"
  | "failed-precondition"
  | "unauthenticated"
  | "permission-denied"
  | "unavailable"
  | "data-loss"
  | "unsupported"
  | "internal";

export interface SociErrorOptions {
  readonly cause?: unknown;
  /** What the user can do about it, one sentence without a final period. */
  readonly hint?: string;
}

/** The one error that this project throws on purpose. Anything else is a bug (`internal`). */
export class SociError extends Error {
  override readonly name: string = "SociError";
  readonly kind: ErrorKind;
  readonly hint: string | undefined;

  constructor(kind: ErrorKind, message: string, options: SociErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.kind = kind;
    this.hint = options.hint;
  }
}

/** Whether `error` is a SociError of one of `kinds`. */
export function isKind(error: unknown, ...kinds: readonly ErrorKind[]): error is SociError {
  return error instanceof SociError && kinds.includes(error.kind);
}
