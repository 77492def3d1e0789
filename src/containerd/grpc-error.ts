import { type ServiceError, status } from "@grpc/grpc-js";
import { type ErrorKind, SociError } from "../errors.ts";

// The only place that knows which kind is which status. https://grpc.io/docs/guides/status-codes/

const KINDS: Readonly<Partial<Record<status, ErrorKind>>> = {
  [status.CANCELLED]: "unavailable",
  [status.INVALID_ARGUMENT]: "invalid-argument",
  [status.OUT_OF_RANGE]: "invalid-argument",
  [status.NOT_FOUND]: "not-found",
  [status.ALREADY_EXISTS]: "already-exists",
  [status.PERMISSION_DENIED]: "permission-denied",
  [status.UNAUTHENTICATED]: "unauthenticated",
  [status.FAILED_PRECONDITION]: "failed-precondition",
  [status.ABORTED]: "failed-precondition",
  [status.RESOURCE_EXHAUSTED]: "unavailable",
  [status.DEADLINE_EXCEEDED]: "unavailable",
  [status.UNAVAILABLE]: "unavailable",
  [status.UNIMPLEMENTED]: "unsupported",
  [status.DATA_LOSS]: "data-loss",
};

const STATUSES: Readonly<Record<ErrorKind, status>> = {
  "invalid-argument": status.INVALID_ARGUMENT,
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  "failed-precondition": status.FAILED_PRECONDITION,
  unauthenticated: status.UNAUTHENTICATED,
  "permission-denied": status.PERMISSION_DENIED,
  unavailable: status.UNAVAILABLE,
  "data-loss": status.DATA_LOSS,
  unsupported: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
};

/** What a server's call ends with; grpc-js takes it as an error. */
export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
}

// Goes in a header: HTTP/2 peers take 16 KiB of them and more, each byte of it may become three.
const MAX_DETAILS = 2048;

/** The status that stands for an error: its message, and those of its causes that we made. */
export function toGrpcStatus(error: unknown): GrpcStatus {
  return { code: codeOf(error), details: detailsOf(error) };
}

/** What a call of a service ended with, as our error: `Cannot <what>: …`. */
export function fromGrpcError(error: ServiceError, what: string): SociError {
  const details = error.details === "" ? `status ${error.code}` : error.details;
  return new SociError(kindOf(error), `Cannot ${what}: ${details}`, { cause: error });
}

function kindOf({ code, details }: ServiceError): ErrorKind {
  // What Go's system calls fail with comes without a status of its own.
  if (code === status.UNKNOWN && details.includes("no space left on device")) return "unavailable";
  return KINDS[code] ?? "internal";
}

function codeOf(error: unknown): status {
  if (error instanceof SociError) return STATUSES[error.kind];
  switch (error instanceof Error ? error.name : undefined) {
    case "AbortError":
      return status.CANCELLED;
    case "TimeoutError":
      return status.DEADLINE_EXCEEDED;
    default:
      return status.INTERNAL;
  }
}

function detailsOf(error: unknown): string {
  const parts: string[] = [];
  let rest = error;
  do {
    parts.push(rest instanceof Error ? rest.message : String(rest));
    rest = rest instanceof Error ? rest.cause : undefined;
    // Others' messages may hold what nobody outside should read.
  } while (rest instanceof SociError && parts.length < 8);
  const text = parts.join(": ").toWellFormed();
  return text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS).toWellFormed()}…` : text;
}
