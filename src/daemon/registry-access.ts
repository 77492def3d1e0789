import type { WaitOptions } from "../async/wait-options.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import type { Keychain } from "../oci/credentials.ts";
import type { Digest } from "../oci/digest.ts";
import type { HostSettings } from "../oci/host-settings.ts";
import { HttpClient } from "../oci/http.ts";
import { completeName } from "../oci/image-name.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { keychainOrder } from "../oci/keychain-order.ts";
import type { ParallelPolicy } from "../oci/parallel-download.ts";
import {
  formatReference,
  parseReference,
  type Reference,
  type RegistryHost,
} from "../oci/reference.ts";
import { RegistryClient } from "../oci/registry.ts";
import { loadRegistryHosts } from "../oci/registry-hosts.ts";
import { RegistrySource } from "../oci/registry-source.ts";
import { DEFAULT_RETRY, type RetryPolicy } from "../oci/retry.ts";
import { type RegistryMirrors, registryMirrors } from "./registry-mirrors.ts";
import { SharedSource } from "./shared-source.ts";

/** How failed requests are tried again. */
export interface RetryTimes {
  readonly maxRetries: number;
  readonly minWaitMs: number;
  readonly maxWaitMs: number;
}

/** Times of requests, as `[http]` of the configuration names them. */
export interface HttpTimes extends RetryTimes {
  readonly dialTimeoutMs: number;
  readonly responseHeaderTimeoutMs: number;
  /** Of one attempt with its body. */
  readonly requestTimeoutMs: number;
}

export interface RegistryAccessOptions {
  readonly userAgent: string;
  /** The first that has credentials which the registry does not refuse decides. */
  readonly keychains: readonly Keychain[];
  /** A certs.d directory; it need not be there. */
  readonly hostsDirectory?: string | undefined;
  /** Asked before those of the certs.d directory. */
  readonly mirrors?: readonly RegistryMirrors[];
  readonly http?: HttpTimes | undefined;
  /** Of reading blobs. */
  readonly blob?: RetryTimes | undefined;
  readonly parallel?: Partial<ParallelPolicy> | undefined;
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
  readonly log?: Logger;
}

/** An image as the labels of a snapshot name it. */
export interface ImageName {
  /** As for `docker pull`: it is made complete here. */
  readonly imageReference: string;
  /** Decides; without it the reference's own digest or tag does. */
  readonly manifestDigest?: Digest | undefined;
}

const MAX_REGISTRIES = 256;

interface Opened {
  readonly source: Promise<RegistrySource>;
  users: number;
}

/**
 * The daemon's way to registries. Sources may live as long as their mounts: each request asks for
 * credentials anew where those of before have run out or are refused. All of an image share one
 * source, and all images one HTTP client, which bounds the requests with a host.
 */
export class RegistryAccess {
  readonly #options: RegistryAccessOptions;
  readonly #http: HttpClient;
  readonly #log: Logger;
  readonly #keychain: Keychain;
  readonly #mirrors: ReadonlyMap<RegistryHost, readonly HostSettings[]>;
  readonly #hosts = new Map<RegistryHost, readonly HostSettings[]>();
  readonly #opened = new Map<string, Opened>();

  /** @throws failed-precondition for a mirror that is no host */
  constructor(options: RegistryAccessOptions) {
    const { userAgent, keychains, mirrors = [], http, proxyFor, log = NO_LOG } = options;
    this.#options = options;
    this.#log = log;
    this.#keychain = keychainOrder(keychains, { log });
    this.#mirrors = registryMirrors(mirrors);
    this.#http = new HttpClient({ ...httpOptions(http), userAgent, proxyFor, log });
  }

  /** Images whose source is in use. */
  get openSources(): number {
    return this.#opened.size;
  }

  /**
   * The image in its registry; nothing is asked yet. Dispose it when nothing of the image is read any
   * more. @throws invalid-argument, failed-precondition for a certs.d file that cannot be used
   */
  async openSource(
    { imageReference, manifestDigest }: ImageName,
    { signal }: WaitOptions = {},
  ): Promise<ImageSource> {
    signal?.throwIfAborted();
    const named = parseReference(imageReference);
    const reference: Reference =
      manifestDigest === undefined ? named : { ...named, digest: manifestDigest };
    const key = `${formatReference(reference)} ${completeName(named)}`;
    const opened = this.#opened.get(key) ?? {
      source: this.#open(reference, completeName(named)),
      users: 0,
    };
    this.#opened.set(key, opened);
    opened.users += 1;
    const leave = (): boolean => {
      opened.users -= 1;
      const isLast = opened.users === 0;
      if (isLast) this.#opened.delete(key);
      return isLast;
    };
    try {
      const source = await opened.source;
      signal?.throwIfAborted();
      return new SharedSource(source, async () => {
        if (leave()) await source[Symbol.asyncDispose]();
      });
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #open(reference: Reference, image: string): Promise<RegistrySource> {
    const { parallel, blob } = this.#options;
    const { registry, repository } = reference;
    const client = new RegistryClient({
      registry,
      repository,
      hosts: await this.#hostsOf(registry),
      keychain: (host, options) => this.#keychain(host, { ...options, image }),
      http: this.#http,
      parallel,
      blobRetry: blob === undefined ? undefined : retryPolicy(blob),
      log: this.#log,
    });
    return new RegistrySource({ reference, client });
  }

  /** Read anew for each source; the same object as long as it says the same, for connections are kept by it. */
  async #hostsOf(registry: RegistryHost): Promise<readonly HostSettings[]> {
    const { hostsDirectory } = this.#options;
    const loaded = [
      ...(this.#mirrors.get(registry) ?? []),
      ...(await loadRegistryHosts(registry, { directory: hostsDirectory })),
    ];
    const known = this.#hosts.get(registry);
    if (known !== undefined && textOf(known) === textOf(loaded)) {
      return known;
    }
    const [oldest] = this.#hosts.keys();
    if (oldest !== undefined && this.#hosts.size >= MAX_REGISTRIES) this.#hosts.delete(oldest);
    this.#hosts.set(registry, loaded);
    return loaded;
  }
}

function textOf(hosts: readonly HostSettings[]): string {
  return JSON.stringify(
    hosts.map((host) => ({ ...host, api: host.api.href, capabilities: [...host.capabilities] })),
  );
}

function retryPolicy({ maxRetries, minWaitMs, maxWaitMs }: RetryTimes): RetryPolicy {
  return {
    ...DEFAULT_RETRY,
    maxRetries,
    baseMs: minWaitMs,
    maxMs: Math.max(minWaitMs, maxWaitMs),
  };
}

function httpOptions(times: HttpTimes | undefined): ConstructorParameters<typeof HttpClient>[0] {
  return times === undefined
    ? {}
    : {
        retry: retryPolicy(times),
        // Bun tells connecting and waiting for the answer not apart: both have their time together.
        answerTimeoutMs: times.dialTimeoutMs + times.responseHeaderTimeoutMs,
        documentTimeoutMs: times.requestTimeoutMs,
        attemptTimeoutMs: times.requestTimeoutMs,
      };
}
