import { SociError } from "../errors.ts";
import { HttpError } from "./http-error.ts";
import { redactUrl } from "./redact-url.ts";

const TLS_TRUST = /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ERR_TLS/;

const URL_TEXT = /https?:\/\/[^\s"'<>]+/g;

interface FetchFailure extends Error {
  readonly code?: string;
}

/** The request that failed. */
export interface FailedRequest {
  readonly method: string;
  readonly url: URL;
}

/** What fetch() or a body's reader threw, as an HttpError; a SociError stays what it is. */
export function asHttpError(
  { method, url }: FailedRequest,
  thrown: unknown,
  reason: string,
): Error {
  if (thrown instanceof SociError) {
    return thrown;
  }
  const cause = withoutSecrets(thrown);
  const said = saidBy(cause);
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
function saidBy({ code, message }: FetchFailure): string {
  return code === undefined || code === "ERR_PROXY_TUNNEL" ? message : code;
}

// Bun's errors name the whole URL, signature and all, in a property and at times in the message.
function withoutSecrets(thrown: unknown): FetchFailure {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const failure: FetchFailure = new Error(
    message.replace(URL_TEXT, (text) => {
      const url = URL.parse(text);
      return url === null ? "(a URL)" : redactUrl(url);
    }),
  );
  const code = errorCode(thrown);
  return code === undefined ? failure : Object.assign(failure, { code });
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
