import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";

/** What to throw for a system call that failed: says what could not be done. Other errors stay as they are. */
export function systemFailure(what: string, error: unknown): unknown {
  if (error instanceof SociError || !(error instanceof Error) || !("code" in error)) return error;
  if (isErrno(error, "ENOSPC", "EDQUOT")) {
    return new SociError("failed-precondition", `Cannot ${what}: no room on disk`, {
      cause: error,
      hint: "Free some room, or move the state directory with --root",
    });
  }
  return new SociError("failed-precondition", `Cannot ${what}`, { cause: error });
}
