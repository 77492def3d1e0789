import { SociError } from "../errors.ts";
import type { Credentials, Keychain } from "./credentials.ts";
import { ALL_CAPABILITIES, type HostCapability, type HostSettings } from "./host-settings.ts";
import type { HttpClient } from "./http.ts";
import type { RegistryHost, RepositoryName } from "./reference.ts";
import { credentialHostOf, registryEndpoint } from "./registry-endpoint.ts";
import { RegistryPeer } from "./registry-peer.ts";
import { type TlsSettings, withoutIdentity } from "./tls-settings.ts";

export interface RegistryPeersOptions {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  readonly http: HttpClient;
  /** In the order in which they are asked; only the registry itself when not given. */
  readonly hosts?: readonly HostSettings[] | undefined;
  readonly plainHttp?: boolean | undefined;
  /** For the registry itself, never for a mirror of it. */
  readonly credentials?: Credentials | undefined;
  readonly keychain?: Keychain | undefined;
  /** How long a mirror that failed is not asked again. */
  readonly restMs?: number | undefined;
}

const DEFAULT_REST_MS = 60_000;

/** Who speaks for a registry: its mirrors, and itself. A mirror that has failed is left alone for a while. */
export class RegistryPeers {
  readonly #registry: RegistryHost;
  readonly #peers: readonly RegistryPeer[];
  readonly #restMs: number;
  readonly #strangerTls: TlsSettings | undefined;
  readonly #restUntil = new Map<RegistryPeer, number>();

  constructor({
    registry,
    repository,
    http,
    hosts,
    plainHttp,
    credentials,
    keychain,
    restMs = DEFAULT_REST_MS,
  }: RegistryPeersOptions) {
    this.#registry = registry;
    this.#restMs = restMs;
    const itself: HostSettings = {
      api: new URL("v2/", registryEndpoint(registry, { plainHttp })),
      capabilities: ALL_CAPABILITIES,
      isOrigin: true,
    };
    const tls = hosts?.findLast(({ isOrigin }) => isOrigin)?.tls;
    this.#strangerTls = tls === undefined ? undefined : withoutIdentity(tls);
    this.#peers = (hosts ?? [itself]).map((host) => {
      const given = credentials !== undefined && host.isOrigin;
      return new RegistryPeer({
        http,
        host,
        repository,
        credentialHost: credentialHostOf(host.api),
        keychain: given ? () => Promise.resolve(credentials) : keychain,
      });
    });
  }

  /** The host at a URL's origin. */
  at(url: URL): RegistryPeer | undefined {
    return this.#peers.find((peer) => peer.isAt(url));
  }

  /** The registry itself. @throws failed-precondition when hosts.toml leaves it out */
  get origin(): RegistryPeer {
    return this.#peers.find(({ isOrigin }) => isOrigin) ?? this.#none("speaks for itself");
  }

  get hasMirrors(): boolean {
    return this.#peers.some(({ isOrigin }) => !isOrigin);
  }

  /** TLS with hosts that the registry sends us to: the trust in it holds for them, our identity is not shown. */
  get strangerTls(): TlsSettings | undefined {
    return this.#strangerTls;
  }

  /** Whom to ask, at least one, in order; for uploads just one. @throws failed-precondition */
  for(capability: HostCapability): readonly RegistryPeer[] {
    const able = this.#peers.filter((peer) => peer.can(capability));
    const awake = able.filter((peer) => peer.isOrigin || !this.#rests(peer));
    // What is written to one host must be read from there: the others learn of it later.
    const wanted = capability === "push" ? able.slice(0, 1) : awake.length > 0 ? awake : able;
    return wanted.length > 0 ? wanted : this.#none(`may be asked to ${capability}`);
  }

  /** Do not ask this mirror for a while. */
  rest(peer: RegistryPeer): void {
    this.#restUntil.set(peer, performance.now() + this.#restMs);
  }

  #rests(peer: RegistryPeer): boolean {
    return (this.#restUntil.get(peer) ?? 0) > performance.now();
  }

  #none(what: string): never {
    throw new SociError(
      "failed-precondition",
      `Cannot use "${this.#registry}": none of its ${this.#peers.length} hosts ${what}`,
      { hint: "Look at the capabilities in its hosts.toml" },
    );
  }
}
