import { type ErrorKind, SociError } from "../errors.ts";
import { EACCES, EEXIST, EINVAL, EIO, ENOENT, EOPNOTSUPP } from "../sys/errno.ts";

const ERRNOS: Readonly<Record<ErrorKind, number>> = {
  "invalid-argument": EINVAL,
  "not-found": ENOENT,
  "already-exists": EEXIST,
  "failed-precondition": EIO,
  unauthenticated: EACCES,
  "permission-denied": EACCES,
  unavailable: EIO,
  "data-loss": EIO,
  unsupported: EOPNOTSUPP,
  internal: EIO,
};

/** What a caller of the file system gets for an error; EIO for one that nobody knows. */
export function errnoOf(error: unknown): number {
  return error instanceof SociError ? ERRNOS[error.kind] : EIO;
}
