import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { type AuthScope, type RepositoryAction, repositoryScope } from "./auth-scope.ts";
import type { Credentials, Keychain } from "./credentials.ts";
import { isDigest } from "./digest.ts";
import type { HostCapability, HostSettings } from "./host-settings.ts";
import { HttpClient, type HttpMethod } from "./http.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import type { HttpBody } from "./http-sending.ts";
import type { SourceStats } from "./image-source.ts";
import type { RegistryHost, RepositoryName } from "./reference.ts";
import { isAtRegistry } from "./registry-endpoint.ts";
import type { RegistryPeer } from "./registry-peer.ts";
import { RegistryPeers } from "./registry-peers.ts";
import type { RetryPolicy } from "./retry.ts";

export interface RegistrySessionOptions {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  /** For the registry itself, never for a mirror of it. */
  readonly credentials?: Credentials | undefined;
  /** Where credentials are looked up, for each host by its name, when none are given. */
  readonly keychain?: Keychain | undefined;
  readonly plainHttp?: boolean | undefined;
  /** Who speaks for the registry, in the order in which they are asked; only itself when not given. */
  readonly hosts?: readonly HostSettings[] | undefined;
  /** Longest silence of a mirror before its answer. */
  readonly mirrorTimeoutMs?: number;
  /** Shared between sessions when given. */
  readonly http?: HttpClient | undefined;
  /** The same, with what they have learned; `hosts` and credentials are theirs then. */
  readonly peers?: RegistryPeers | undefined;
  /** Who is asked: whoever can, only the host that takes uploads, or only the registry itself. */
  readonly target?: "any" | "uploads" | "origin";
  readonly log?: Logger | undefined;
}

// A mirror is near, or of no use: the next host is asked at once.
const DEFAULT_MIRROR_TIMEOUT_MS = 10_000;

export interface RegistryRequest extends WaitOptions {
  readonly method: HttpMethod;
  /** Below `/v2/<repository>/`, or a whole URL that the registry gave us. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  readonly retry?: boolean | RetryPolicy;
  readonly answerTimeoutMs?: number | undefined;
  /** Ask no mirror: what they gave was wrong. */
  readonly isForOrigin?: boolean | undefined;
  /** Another repository that the request reads from: a blob is mounted from there. */
  readonly alsoPulls?: RepositoryName | undefined;
}

/** Requests to one repository, authorized as each host asks, by way of mirrors where there are any. */
export class RegistrySession {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  readonly log: Logger;
  readonly #http: HttpClient;
  readonly #peers: RegistryPeers;
  readonly #target: "any" | "uploads" | "origin";
  readonly #mirrorTimeoutMs: number;

  constructor({
    registry,
    repository,
    log = NO_LOG,
    http = new HttpClient({ log }),
    target = "any",
    mirrorTimeoutMs = DEFAULT_MIRROR_TIMEOUT_MS,
    ...rest
  }: RegistrySessionOptions) {
    this.registry = registry;
    this.repository = repository;
    this.log = log;
    this.#http = http;
    this.#target = target;
    this.#mirrorTimeoutMs = mirrorTimeoutMs;
    this.#peers = rest.peers ?? new RegistryPeers({ ...rest, registry, repository, http });
  }

  /** `<registry>/<repository>`, for messages. */
  get name(): string {
    return `${this.registry}/${this.repository}`;
  }

  get stats(): SourceStats {
    return this.#http.stats;
  }

  get retryPolicy(): RetryPolicy {
    return this.#http.retryPolicy;
  }

  /** The same repository, with every question asked where uploads go: a mirror may not know of them yet. */
  forPush(): RegistrySession {
    return this.#with("uploads");
  }

  /** The same repository without mirrors. */
  forOrigin(): RegistrySession {
    return this.#with("origin");
  }

  /** Whether answers may come from elsewhere than the registry. */
  get hasMirrors(): boolean {
    return this.#target === "any" && this.#peers.hasMirrors;
  }

  /** Sends a request; an error status is an HttpError: of the last host, when others were asked before. */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { path } = request;
    if (typeof path !== "string") {
      return await this.#sendTo(this.#peers.at(path), path, request);
    }
    const peers = this.#peersFor(path, request);
    for (const [index, peer] of peers.entries()) {
      const isLast = index === peers.length - 1;
      try {
        const url = this.#urlAt(peer, path, request);
        const answerTimeoutMs = peer.answerTimeoutMs ?? this.#mirrorTimeoutMs;
        const asked = isLast ? request : { ...request, retry: false, answerTimeoutMs };
        return await this.#sendTo(peer, url, asked);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (isLast || !(error instanceof SociError)) {
          throw error;
        }
        this.#passOver(peer, error);
      }
    }
    throw new Error("no host was asked");
  }

  /** Whether the registry or one of its mirrors is at `url`, rather than another host. */
  isOwn(url: URL): boolean {
    return this.#peers.at(url) !== undefined;
  }

  /** A mirror gave what is wrong or broken: it is left alone for a while. Whether there is another to ask. */
  distrust(url: URL): boolean {
    const peer = this.#peers.at(url);
    if (peer === undefined || peer.isOrigin) {
      return false;
    }
    this.#peers.rest(peer);
    return true;
  }

  #with(target: "uploads" | "origin"): RegistrySession {
    const { registry, repository, log } = this;
    const http = this.#http;
    return new RegistrySession({ registry, repository, log, http, peers: this.#peers, target });
  }

  #peersFor(
    path: string,
    { method, isForOrigin = false }: RegistryRequest,
  ): readonly RegistryPeer[] {
    if (this.#target === "uploads") {
      return this.#peers.for("push");
    }
    return isForOrigin || this.#target === "origin"
      ? [this.#peers.origin]
      : this.#peers.for(capabilityFor(method, path));
  }

  #urlAt({ api, isOrigin }: RegistryPeer, path: string, { method }: RegistryRequest): URL {
    const url = new URL(`${api.href}${this.repository}/${path}`);
    // As containerd asks mirrors: one of them may stand for several registries.
    if (!isOrigin && !isAtRegistry(api, this.registry) && isReading(method)) {
      url.searchParams.set("ns", this.registry);
    }
    return url;
  }

  async #sendTo(
    peer: RegistryPeer | undefined,
    url: URL,
    request: RegistryRequest,
  ): Promise<HttpResponse> {
    const { path: _path, isForOrigin: _isForOrigin, alsoPulls, ...rest } = request;
    // The registry may send us elsewhere (storage, the place for an upload): its credentials stay here.
    return peer === undefined
      ? await this.#http.request({ ...rest, url, tls: this.#peers.strangerTls })
      : await peer.send({ ...rest, url }, this.#scopesFor(request.method, alsoPulls));
  }

  #passOver(peer: RegistryPeer, error: SociError): void {
    const { host } = peer.api;
    if (error instanceof HttpError && error.status === 404) {
      this.log.debug("mirror does not have it, asking the next host", { host, error });
      return;
    }
    this.log.warn("mirror failed, asking the next host", { host, error });
    // A refused login stays refused: asking again costs a round trip each time.
    const isOut =
      !(error instanceof HttpError) ||
      error.status === undefined ||
      error.temporary ||
      isKind(error, "unauthenticated", "permission-denied");
    if (isOut && !peer.isOrigin) {
      this.#peers.rest(peer);
    }
  }

  #scopesFor(method: HttpMethod, alsoPulls: RepositoryName | undefined): readonly AuthScope[] {
    const scope = repositoryScope(this.repository, this.#actionsFor(method));
    return alsoPulls === undefined ? [scope] : [scope, repositoryScope(alsoPulls, ["pull"])];
  }

  #actionsFor(method: HttpMethod): readonly RepositoryAction[] {
    if (method === "DELETE") {
      return ["delete"];
    }
    // One token for all of a push.
    return isReading(method) && this.#target !== "uploads" ? ["pull"] : ["pull", "push"];
  }
}

function isReading(method: HttpMethod): boolean {
  return method === "GET" || method === "HEAD";
}

function capabilityFor(method: HttpMethod, path: string): HostCapability {
  if (!isReading(method) || path.startsWith("blobs/uploads/")) {
    return "push";
  }
  if (path.startsWith("referrers/")) {
    return "referrers";
  }
  const [, reference] = /^manifests\/(.*)$/.exec(path) ?? [];
  return path.startsWith("blobs/") || (reference !== undefined && isDigest(reference))
    ? "pull"
    : "resolve";
}
