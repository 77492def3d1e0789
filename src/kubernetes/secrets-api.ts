import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { HttpClient } from "../oci/http.ts";
import { HttpError } from "../oci/http-error.ts";
import type { HttpResponse } from "../oci/http-response.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";
import type { TlsSettings } from "../oci/tls-settings.ts";
import type { ClusterAccess } from "./cluster-access.ts";
import { LOGIN_SECRET_TYPE } from "./secret.ts";
import { splitLines } from "./split-lines.ts";

export interface SecretsApiOptions {
  readonly userAgent?: string | undefined;
  readonly log: Logger;
}

/** One page of a list. */
export interface SecretPage {
  readonly items: readonly JsonObject[];
  /** The state of the cluster that the list is of: what has changed since can be watched. */
  readonly resourceVersion: string;
  /** Where the next page begins; `undefined` after the last. */
  readonly next: string | undefined;
}

/** A change. A bookmark changes nothing but the version to go on from. */
export interface SecretEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: JsonObject;
}

const PAGE_ITEMS = 50;
// A secret may have 1 MiB, which is more in base64.
const MAX_PAGE_BYTES = 96 * 1024 * 1024;
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const WATCH_SECONDS = 300;
// The server ends a watch itself; this is for one that is gone without a word.
const WATCH_IDLE_MS = (WATCH_SECONDS + 30) * 1000;
const ANSWER_MS = 30_000;
const GONE = 410;
const EVENTS = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] as const;

/** Whether the version to go on from is too old: all must be listed again. */
export function isGone(error: unknown): boolean {
  return error instanceof HttpError && error.status === GONE;
}

/** The secrets of a cluster that hold logins. https://kubernetes.io/docs/reference/using-api/api-concepts/ */
export class SecretsApi {
  readonly #http: HttpClient;
  #access: ClusterAccess | undefined;

  constructor({ userAgent, log }: SecretsApiOptions) {
    this.#http = new HttpClient({
      log,
      ...(userAgent === undefined ? {} : { userAgent }),
      idleTimeoutMs: WATCH_IDLE_MS,
      proxyFor: () => this.#access?.proxy,
    });
  }

  /** How to speak to the cluster from now on. */
  use(access: ClusterAccess): void {
    this.#access = { ...access, tls: sameTls(this.#access?.tls, access.tls) };
  }

  /** @throws HttpError, data-loss */
  async list(next: string | undefined, options: WaitOptions): Promise<SecretPage> {
    const query = { limit: `${PAGE_ITEMS}`, ...(next === undefined ? {} : { continue: next }) };
    await using response = await this.#get(query, options);
    const what = "list of secrets";
    const bytes = await response.bytes(MAX_PAGE_BYTES);
    const limits = { maxBytes: MAX_PAGE_BYTES, isSecret: true };
    const list = new JsonObject(parseJson(bytes, what, limits), what);
    const metadata = list.object("metadata");
    const token = metadata.optionalString("continue");
    return {
      items: list.optionalObjects("items", 10 * PAGE_ITEMS) ?? [],
      resourceVersion: metadata.string("resourceVersion"),
      next: token === "" ? undefined : token,
    };
  }

  /** Changes after a version, until the server has had enough. @throws HttpError, data-loss */
  async *watch(resourceVersion: string, options: WaitOptions): AsyncGenerator<SecretEvent> {
    const query = {
      watch: "1",
      resourceVersion,
      allowWatchBookmarks: "true",
      timeoutSeconds: `${WATCH_SECONDS}`,
    };
    await using response = await this.#get(query, options);
    const what = "change of a secret";
    const lines = splitLines(response.body, { maxBytes: MAX_EVENT_BYTES, what });
    for await (const line of lines) {
      const limits = { maxBytes: MAX_EVENT_BYTES, isSecret: true };
      const event = new JsonObject(parseJson(line, what, limits), what);
      const type = event.string("type");
      const object = event.object("object");
      if (type === "ERROR") {
        throw this.#failure(object, response);
      }
      const known = EVENTS.find((name) => name === type);
      if (known !== undefined) {
        yield { type: known, object };
      }
    }
  }

  #failure(status: JsonObject, { url }: HttpResponse): HttpError {
    const code = status.has("code") ? status.size("code") : undefined;
    return new HttpError({
      method: "GET",
      url,
      reason: "the watch ended with an error",
      ...(code === undefined ? {} : { status: code }),
    });
  }

  async #get(
    query: Readonly<Record<string, string>>,
    { signal }: WaitOptions,
  ): Promise<HttpResponse> {
    const access = this.#access;
    if (access === undefined) {
      throw new SociError("failed-precondition", "Cannot ask a cluster that is not known");
    }
    const url = new URL("api/v1/secrets", access.server);
    url.search = new URLSearchParams({
      fieldSelector: `type=${LOGIN_SECRET_TYPE}`,
      ...query,
    }).toString();
    return await this.#http.request({
      method: "GET",
      url,
      headers: {
        accept: "application/json",
        ...(access.authorization === undefined ? {} : { authorization: access.authorization }),
      },
      tls: access.tls,
      answerTimeoutMs: ANSWER_MS,
      maxRedirects: 0,
      retry: false,
      signal,
    });
  }
}

/** The object of before when it says the same: connections are kept by it. */
function sameTls(
  before: TlsSettings | undefined,
  now: TlsSettings | undefined,
): TlsSettings | undefined {
  return JSON.stringify(before) === JSON.stringify(now) ? before : now;
}
