import { SociError } from "../errors.ts";
import { HttpError } from "./http-error.ts";

const TLS_TRUST = /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ERR_TLS/;

/** The request that failed. */
export interface FailedRequest {
  readonly method: string;
  readonly url: URL;
}

/** What fetch() or a body's reader threw, as an HttpError; a SociError stays what it is. */
export function asHttpError({ method, url }: FailedRequest, cause: unknown, reason: string): Error {
  if (cause instanceof SociError) {
    return cause;
  }
  const code = errorCode(cause);
  const said = cause instanceof Error ? saidBy(cause, code) : String(cause);
  if (TLS_TRUST.test(said)) {
    return new HttpError({
      method,
      url,
      reason: `the certificate cannot be trusted: ${said}`,
      kind: "failed-precondition",
      temporary: false,
      hint: "If it is the right one, trust its authority: --tlscacert FILE",
      cause,
    });
  }
  return new HttpError({ method, url, reason: `${reason}: ${said}`, cause });
}

/** The code says enough, but for a proxy's refusal; other messages may quote a URL in full. */
function saidBy(cause: Error, code: string | undefined): string {
  return code === undefined || code === "ERR_PROXY_TUNNEL" ? cause.message : code;
}

/** An answer that breaks the rules: asking again would not help. */
export function wrongAnswer({ method, url }: FailedRequest, reason: string): HttpError {
  return new HttpError({ method, url, reason, kind: "failed-precondition", temporary: false });
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
