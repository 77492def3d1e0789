import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import { HttpError } from "./http-error.ts";
import { readErrorBody } from "./http-error-body.ts";
import { HttpResponse } from "./http-response.ts";
import { IdleWatch } from "./idle-watch.ts";
import type { SourceStats } from "./image-source.ts";
import { redactUrl } from "./redact-url.ts";
import { DEFAULT_RETRY, parseRetryAfter, type RetryPolicy, retryWaitMs } from "./retry.ts";
import type { TlsSettings } from "./tls-settings.ts";

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A body that can be sent again: `open` is called once an attempt. */
export interface HttpBody {
  /** Bytes; exactly as many must come. */
  readonly size: number;
  readonly open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface HttpRequest extends WaitOptions {
  readonly method: HttpMethod;
  readonly url: URL;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  /** Whether a temporary failure is tried again. */
  readonly retry?: boolean;
  /** Give the same object with every request to a host: connections are kept by it. */
  readonly tls?: TlsSettings | undefined;
  /** 0 for a body that nobody else may see: it would be sent again to wherever a redirect leads. */
  readonly maxRedirects?: number;
}

export interface HttpClientOptions {
  readonly log?: Logger;
  readonly userAgent?: string;
  readonly retry?: RetryPolicy;
  readonly maxRedirects?: number;
  /** Longest silence of a server: before its answer, and between two pieces of it. */
  readonly idleTimeoutMs?: number;
  /** The proxy for a URL; `undefined` for none. The environment is not looked at. */
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
}

const MAX_ERROR_BODY = 64 * 1024;
// What another host than the one asked may see of a request: all other headers may be secret.
const HARMLESS_HEADERS = ["accept", "accept-encoding", "content-type", "range", "user-agent"];
const TLS_TRUST = /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ERR_TLS/;

/**
 * The one way to the network. Bodies are never decoded behind our back, redirects are followed
 * here (credentials stay with the host they are for), silence ends in a timeout, temporary failures
 * are tried again, and every failure is an HttpError.
 */
export class HttpClient {
  readonly #log: Logger;
  readonly #userAgent: string;
  readonly #retry: RetryPolicy;
  readonly #maxRedirects: number;
  readonly #idleTimeoutMs: number;
  readonly #proxyFor: (url: URL) => URL | undefined;
  readonly #sessions = new FetchSessions();
  #requests = 0;
  #bytes = 0;

  constructor({
    log = NO_LOG,
    userAgent = "sociable",
    retry = DEFAULT_RETRY,
    maxRedirects = 10,
    idleTimeoutMs = 60_000,
    proxyFor = () => undefined,
  }: HttpClientOptions = {}) {
    this.#log = log;
    this.#userAgent = userAgent;
    this.#retry = retry;
    this.#maxRedirects = maxRedirects;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#proxyFor = proxyFor;
  }

  /** Requests sent, redirects and retries counted, and bytes of bodies received. */
  get stats(): SourceStats {
    return { requests: this.#requests, bytes: this.#bytes };
  }

  get retryPolicy(): RetryPolicy {
    return this.#retry;
  }

  /** Sends a request; any status but 2xx is an error. @throws HttpError, or the signal's reason */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const { signal, retry = true } = request;
    for (let retries = 0; ; retries++) {
      try {
        return await this.#follow(request);
      } catch (error) {
        signal?.throwIfAborted();
        if (!retry || !(error instanceof HttpError) || !error.temporary) {
          throw error;
        }
        const waitMs = retryWaitMs(this.#retry, { retries, retryAfterMs: error.retryAfterMs });
        if (waitMs === undefined) {
          throw error;
        }
        this.#log.debug("request will be tried again", { error, waitMs });
        await delay(waitMs, { signal });
      }
    }
  }

  async #follow(request: HttpRequest): Promise<HttpResponse> {
    let { url, headers = {}, tls } = request;
    const { maxRedirects = this.#maxRedirects } = request;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#attempt({ ...request, url, headers, tls });
      if (response.status < 300) {
        return response;
      }
      await response[Symbol.asyncDispose]();
      if (redirects >= maxRedirects) {
        throw fail(request, url, `more than ${maxRedirects} redirects`);
      }
      const next = this.#redirectTarget(request, url, response);
      if (next.origin !== url.origin) {
        headers = Object.fromEntries(
          Object.entries(headers).filter(([name]) => HARMLESS_HEADERS.includes(name)),
        );
        tls = tls === undefined ? undefined : this.#sessions.strangerOf(tls);
      }
      url = next;
    }
  }

  #redirectTarget(request: HttpRequest, from: URL, response: HttpResponse): URL {
    const { status } = response;
    const location = response.headers.get("location");
    const target = location === null ? null : URL.parse(location, from.href);
    if (target === null || !["http:", "https:"].includes(target.protocol)) {
      throw fail(request, from, `status ${status} without a usable Location`);
    }
    if (from.protocol === "https:" && target.protocol === "http:") {
      throw fail(request, from, `redirect to "${redactUrl(target)}", which is not encrypted`);
    }
    // 301, 302 and 303 may turn a PUT into a GET: only the two that may not are followed then.
    const keepsMethod = status === 307 || status === 308;
    if (request.method !== "GET" && request.method !== "HEAD" && !keepsMethod) {
      throw fail(request, from, `redirect with status ${status}`);
    }
    return target;
  }

  async #attempt(request: HttpRequest): Promise<HttpResponse> {
    const { method, url, headers, body, signal } = request;
    signal?.throwIfAborted();
    const proxy = this.#proxyFor(url);
    const watch = new IdleWatch(this.#idleTimeoutMs);
    const started = performance.now();
    const sending = body === undefined ? undefined : new Sending(body, watch);
    this.#requests += 1;
    try {
      const response = await fetch(url, {
        method,
        headers: {
          "user-agent": this.#userAgent,
          "accept-encoding": "identity",
          ...headers,
          ...(body === undefined ? {} : { "content-length": String(body.size) }),
        },
        ...(sending === undefined ? {} : { body: sending.stream() }),
        session: this.#sessions.get(request.tls),
        proxy: proxy === undefined ? false : { url: proxy, respectNoProxy: false },
        redirect: "manual",
        decompress: false,
        signal: signal === undefined ? watch.signal : AbortSignal.any([signal, watch.signal]),
      });
      this.#log.debug("request", {
        method,
        url: redactUrl(url),
        range: headers?.["range"],
        status: response.status,
        ms: Math.round(performance.now() - started),
      });
      const wrapped = this.#receive(request, response, watch);
      if (wrapped.status >= 400 || wrapped.status === 304) {
        throw await statusError(request, wrapped);
      }
      return wrapped;
    } catch (cause) {
      watch.stop();
      signal?.throwIfAborted();
      throw (
        sending?.failure?.error ??
        asHttpError(
          request,
          cause,
          proxy === undefined ? "no answer" : `no answer through the proxy "${redactUrl(proxy)}"`,
        )
      );
    }
  }

  #receive(request: HttpRequest, response: Response, watch: IdleWatch): HttpResponse {
    const reader = response.body?.getReader();
    const release = async (): Promise<void> => {
      watch.stop();
      try {
        await reader?.cancel();
      } catch {
        // The stream has failed already, and whoever read it was told.
      }
    };
    const count = (bytes: number): void => {
      this.#bytes += bytes;
    };
    async function* body(): AsyncGenerator<Uint8Array> {
      let received = 0;
      try {
        for (;;) {
          watch.touch();
          const next = await reader?.read();
          // The time that our own reader takes is not the server's silence.
          watch.stop();
          if (next === undefined || next.done) {
            return;
          }
          received += next.value.length;
          count(next.value.length);
          yield next.value;
        }
      } catch (cause) {
        request.signal?.throwIfAborted();
        throw asHttpError(request, cause, `connection broke after ${received} bytes`);
      } finally {
        await release();
      }
    }
    return new HttpResponse(response, { url: request.url, body: body(), release });
  }
}

/** A request's body on its way: its size is checked, and its own failure kept apart from the network's. */
class Sending {
  readonly #body: HttpBody;
  readonly #watch: IdleWatch;
  failure: { readonly error: unknown } | undefined;

  constructor(body: HttpBody, watch: IdleWatch) {
    this.#body = body;
    this.#watch = watch;
  }

  /** The body as fetch() takes it. An empty one is no stream: it would be sent in chunked encoding. */
  stream(): Bun.BodyInit {
    return this.#body.size === 0 ? new Uint8Array(0) : this.#chunks();
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    let sent = 0;
    try {
      for await (const chunk of this.#body.open()) {
        sent += chunk.length;
        this.#check(sent <= this.#body.size, sent);
        this.#watch.touch();
        yield chunk;
      }
      this.#check(sent === this.#body.size, sent);
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  #check(right: boolean, sent: number): void {
    if (!right) {
      throw new SociError(
        "data-loss",
        `Cannot send the body: it has ${sent} bytes, want ${this.#body.size}`,
      );
    }
  }
}

async function statusError(request: HttpRequest, response: HttpResponse): Promise<HttpError> {
  const { status, headers } = response;
  const challenge = headers.get("www-authenticate");
  const retryAfterMs = parseRetryAfter(headers.get("retry-after"));
  return new HttpError({
    method: request.method,
    url: request.url,
    status,
    ...readErrorBody(await startOf(response)),
    ...(challenge === null ? {} : { challenge }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The first piece of an error's body; whatever goes wrong with it, the status says more. */
async function startOf(response: HttpResponse): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= MAX_ERROR_BODY) {
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof HttpError)) {
      throw error;
    }
  }
  return Buffer.concat(chunks).subarray(0, MAX_ERROR_BODY);
}

function asHttpError(request: HttpRequest, cause: unknown, reason: string): Error {
  if (cause instanceof SociError) {
    return cause;
  }
  const { method, url } = request;
  const code = errorCode(cause);
  // What a proxy said stands in the message only; it holds no URL.
  const isTold = code !== undefined && code !== "ERR_PROXY_TUNNEL";
  const said = isTold ? code : cause instanceof Error ? cause.message : String(cause);
  if (TLS_TRUST.test(said)) {
    return new HttpError({
      method,
      url,
      reason: `the certificate cannot be trusted: ${said}`,
      kind: "failed-precondition",
      temporary: false,
      cause,
    });
  }
  return new HttpError({ method, url, reason: `${reason}: ${said}`, cause });
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

function fail(request: HttpRequest, url: URL, reason: string): HttpError {
  return new HttpError({
    method: request.method,
    url,
    reason,
    kind: "failed-precondition",
    temporary: false,
  });
}
