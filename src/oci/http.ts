import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { ConnectionLimits, type ConnectionPermit } from "./connection-limits.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import { HttpError } from "./http-error.ts";
import { readErrorBody } from "./http-error-body.ts";
import { asHttpError, wrongAnswer } from "./http-failure.ts";
import { receive } from "./http-receive.ts";
import type { HttpResponse } from "./http-response.ts";
import { type HttpBody, HttpSending } from "./http-sending.ts";
import { IdleWatch } from "./idle-watch.ts";
import type { SourceStats } from "./image-source.ts";
import { redactUrl } from "./redact-url.ts";
import { DEFAULT_RETRY, parseRetryAfter, type RetryPolicy, retryWaitMs } from "./retry.ts";
import type { TlsSettings } from "./tls-settings.ts";

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface HttpRequest extends WaitOptions {
  readonly method: HttpMethod;
  readonly url: URL;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  /** Whether a temporary failure is tried again, or how. */
  readonly retry?: boolean | RetryPolicy;
  /** Give the same object with every request to a host: connections are kept by it. */
  readonly tls?: TlsSettings | undefined;
  /** Less patience than usual until the answer begins: there is somebody else to ask. */
  readonly answerTimeoutMs?: number | undefined;
  /** 0 for a body that nobody else may see: it would be sent again to wherever a redirect leads. */
  readonly maxRedirects?: number;
}

export interface HttpClientOptions {
  readonly log?: Logger;
  readonly userAgent?: string;
  readonly retry?: RetryPolicy;
  readonly maxRedirects?: number;
  /** Longest silence of a server: until its answer has begun, and between two pieces of it. */
  readonly idleTimeoutMs?: number;
  /** The same until its answer has begun, when that is less. */
  readonly answerTimeoutMs?: number;
  /** Longest time for the whole of a manifest, token or list. */
  readonly documentTimeoutMs?: number;
  /** Longest time for one attempt with all of its body; no bound when not given. A download goes on where it was cut. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Most requests at once with one host. */
  readonly maxConnections?: number;
  /** The proxy for a URL; `undefined` for none. The environment is not looked at. */
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
}

const MAX_ERROR_BODY = 64 * 1024;
// Small reads of a starting container come in crowds and cost a round trip each; a few hosts' CDNs
// take hundreds. Large transfers bound themselves.
const DEFAULT_CONNECTIONS = 64;
// A registry may hash or move a whole blob before it answers.
const PATIENCE_AFTER_BODY = 5;
// All that another host may hear of a request that was for the one before it.
const HARMLESS = new Set(["accept", "accept-encoding", "content-type", "content-range", "range"]);

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
  readonly #answerTimeoutMs: number;
  readonly #documentTimeoutMs: number;
  readonly #attemptTimeoutMs: number | undefined;
  readonly #limits: ConnectionLimits;
  readonly #proxyFor: (url: URL) => URL | undefined;
  readonly #sessions = new FetchSessions();
  #requests = 0;
  #bytes = 0;

  constructor({
    log = NO_LOG,
    userAgent = "sociable",
    retry = DEFAULT_RETRY,
    maxRedirects = 10,
    idleTimeoutMs = 30_000,
    answerTimeoutMs = idleTimeoutMs,
    documentTimeoutMs = 120_000,
    attemptTimeoutMs,
    maxConnections = DEFAULT_CONNECTIONS,
    proxyFor = () => undefined,
  }: HttpClientOptions = {}) {
    this.#log = log;
    this.#userAgent = userAgent;
    this.#retry = retry;
    this.#maxRedirects = maxRedirects;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#answerTimeoutMs = Math.min(answerTimeoutMs, idleTimeoutMs);
    this.#documentTimeoutMs = documentTimeoutMs;
    this.#attemptTimeoutMs = attemptTimeoutMs;
    this.#limits = new ConnectionLimits(maxConnections);
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
    const started = performance.now();
    for (let retries = 0; ; retries++) {
      try {
        return await this.#follow(request);
      } catch (error) {
        signal?.throwIfAborted();
        if (retry === false || !(error instanceof HttpError) || !error.temporary) {
          throw error;
        }
        const policy = retry === true ? this.#retry : retry;
        const { retryAfterMs } = error;
        const elapsedMs = performance.now() - started;
        const waitMs = retryWaitMs(policy, { retries, retryAfterMs, elapsedMs });
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
      const response = await this.#attempt({ ...request, url, headers, tls }, redirects > 0);
      if (response.status < 300) {
        return response;
      }
      await response[Symbol.asyncDispose]();
      if (redirects >= maxRedirects) {
        throw wrongAnswer({ ...request, url }, `more than ${maxRedirects} redirects`);
      }
      const next = redirectTarget({ ...request, url }, response);
      if (next.origin !== url.origin) {
        headers = Object.fromEntries(
          Object.entries(headers).filter(([name]) => HARMLESS.has(name)),
        );
        tls = this.#sessions.strangerOf(tls);
      }
      url = next;
    }
  }

  async #attempt(request: HttpRequest, isRedirected: boolean): Promise<HttpResponse> {
    const { method, url, headers, body, signal } = request;
    signal?.throwIfAborted();
    const proxy = this.#proxyFor(url);
    const permit = await this.#limits.acquire(url.origin, { signal });
    const patience = body === undefined ? 1 : PATIENCE_AFTER_BODY;
    const { answerTimeoutMs = Number.POSITIVE_INFINITY } = request;
    const timeoutMs = Math.min(this.#answerTimeoutMs * patience, answerTimeoutMs);
    const watch = new IdleWatch({ signal, timeoutMs });
    const sending = body === undefined ? undefined : new HttpSending(body, watch);
    const started = performance.now();
    this.#requests += 1;
    watch.wait();
    const end = this.#attemptTimeoutMs;
    const deadline = end === undefined ? undefined : watch.within(end);
    let status: number | undefined;
    let bytes = 0;
    const onEnd = (): void => {
      deadline?.[Symbol.dispose]();
      if (this.#log === NO_LOG) {
        return;
      }
      const ms = Math.round(performance.now() - started);
      const range = headers?.["range"];
      this.#log.debug("request", { method, url: redactUrl(url), range, status, bytes, ms });
    };
    let response: Response;
    try {
      response = await fetch(url, {
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
        signal: watch.signal,
      });
    } catch (cause) {
      giveUp(watch, permit);
      onEnd();
      signal?.throwIfAborted();
      throw sending?.failure?.error ?? asHttpError(request, cause, noAnswer(proxy));
    }
    ({ status } = response);
    watch.restart(this.#idleTimeoutMs);
    const received = receive(response, {
      request,
      signal,
      watch,
      permit,
      isRedirected,
      documentTimeoutMs: this.#documentTimeoutMs,
      onBytes: (count) => {
        bytes += count;
        this.#bytes += count;
      },
      onEnd,
    });
    if (status >= 400 || status === 304) {
      throw await statusError(request, received);
    }
    return received;
  }
}

function noAnswer(proxy: URL | undefined): string {
  return proxy === undefined ? "no answer" : `no answer by the proxy "${redactUrl(proxy)}"`;
}

function giveUp(watch: IdleWatch, permit: ConnectionPermit): void {
  watch[Symbol.dispose]();
  permit[Symbol.dispose]();
}

function redirectTarget(request: HttpRequest, { status, headers }: HttpResponse): URL {
  const { method, url } = request;
  const location = headers.get("location");
  const target = location === null ? null : URL.parse(location, url.href);
  if (target === null || !["http:", "https:"].includes(target.protocol)) {
    throw wrongAnswer(request, `status ${status} without a usable Location`);
  }
  if (url.protocol === "https:" && target.protocol === "http:") {
    throw wrongAnswer(request, `redirect to "${redactUrl(target)}", which is not encrypted`);
  }
  // 301, 302 and 303 may turn a PUT into a GET: only the two that may not are followed then.
  const keepsMethod = status === 307 || status === 308;
  if (method !== "GET" && method !== "HEAD" && !keepsMethod) {
    throw wrongAnswer(request, `redirect with status ${status}`);
  }
  return target;
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
  await using body = response;
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body.body) {
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
