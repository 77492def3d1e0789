import type { ErrorKind } from "../errors.ts";
import { SociError } from "../errors.ts";
import { redactUrl } from "./redact-url.ts";

export interface HttpErrorOptions {
  readonly method: string;
  readonly url: URL;
  /** What went wrong, without method, URL and status. */
  readonly reason?: string;
  /** Absent when no response came. */
  readonly status?: number;
  /** The registry's own code, as in `MANIFEST_UNKNOWN`. */
  readonly code?: string;
  /** The WWW-Authenticate header. */
  readonly challenge?: string;
  readonly retryAfterMs?: number;
  /** Whether the same request may succeed later; follows from the status when not given. */
  readonly temporary?: boolean;
  readonly kind?: ErrorKind;
  readonly hint?: string;
  readonly cause?: unknown;
}

/** A request that failed: without a response, or by its status. Its message never holds a secret. */
export class HttpError extends SociError {
  override readonly name: string = "HttpError";
  readonly method: string;
  /** Scheme, host and port that failed: after redirects, not always the one that was asked. */
  readonly origin: string;
  readonly status: number | undefined;
  readonly code: string | undefined;
  /** What went wrong, or what the registry said, without method, URL and status. */
  readonly reason: string | undefined;
  readonly challenge: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly temporary: boolean;
  readonly #options: HttpErrorOptions;

  constructor(options: HttpErrorOptions) {
    const { method, url, status, reason, code, hint } = options;
    const details = [status === undefined ? undefined : `status ${status}`, code, reason];
    super(
      options.kind ?? kindOf(status),
      `Cannot ${method} "${redactUrl(url)}": ${details.filter((part) => part !== undefined && part !== "").join(", ")}`,
      {
        ...(hint === undefined ? {} : { hint }),
        ...("cause" in options ? { cause: options.cause } : {}),
      },
    );
    this.#options = options;
    this.method = method;
    this.origin = url.origin;
    this.status = status;
    this.code = code;
    this.reason = reason;
    this.challenge = options.challenge;
    this.retryAfterMs = options.retryAfterMs;
    this.temporary = options.temporary ?? isTemporary(status);
  }

  /** The same failure with a word to the user, unless it has one. */
  withHint(hint: string): HttpError {
    return new HttpError({ ...this.#options, hint: this.#options.hint ?? hint });
  }
}

// 501 and 505 say that the server never will.
function isTemporary(status: number | undefined): boolean {
  if (status === undefined) {
    return true;
  }
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

function kindOf(status: number | undefined): ErrorKind {
  switch (status) {
    case 401:
      return "unauthenticated";
    case 403:
      return "permission-denied";
    case 404:
      return "not-found";
    default:
      return status === undefined || status === 408 || status === 429 || status >= 500
        ? "unavailable"
        : "failed-precondition";
  }
}
