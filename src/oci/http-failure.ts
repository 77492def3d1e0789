import { SociError } from "../errors.ts";
import { HttpError } from "./http-error.ts";
import { redactUrl } from "./redact-url.ts";

// https://nodejs.org/api/tls.html#x509-certificate-error-codes
const TLS_TRUST =
  /CERT|CRL|SELF_SIGNED|UNABLE_TO_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME_MISMATCH|ERR_TLS/;

// A proxy's own 4xx, but for those that pass.
const PROXY_REFUSAL = /refused to open a tunnel: 4(?!08|29)/;
const FINAL = { kind: "failed-precondition", temporary: false } as const;

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
  const failure = { method, url, reason: `${reason}: ${said}`, cause };
  if (TLS_TRUST.test(said)) {
    return new HttpError({
      ...failure,
      ...FINAL,
      reason: `the certificate cannot be trusted: ${said}`,
      hint: "If it is the right one, trust its authority: --tlscacert FILE",
    });
  }
  if (cause.code === "EPROTO") {
    const hint =
      "If it speaks no TLS: --plain-http; if it wants to know who you are: --tlscert FILE --tlskey FILE";
    return new HttpError({ ...failure, ...FINAL, reason: "the TLS handshake failed", hint });
  }
  return new HttpError(PROXY_REFUSAL.test(said) ? { ...failure, ...FINAL } : failure);
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
