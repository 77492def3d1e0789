import { SociError } from "../errors.ts";
import type { HostCapability, HostSettings } from "../oci/host-settings.ts";
import type { RegistryHost } from "../oci/reference.ts";
import { isLoopback } from "../oci/registry-endpoint.ts";

/** A mirror as `[resolver.host."<registry>"]` of the configuration names it. */
export interface MirrorSettings {
  /** `HOST[:PORT][/PATH]`, or a URL; a path stands in the place of `/v2`. */
  readonly host: string;
  /** Spoken to without TLS, as loopback hosts are anyway. */
  readonly insecure: boolean;
  /** Time for its answer to begin; 0 for the usual, below for no less than the registry itself has. */
  readonly requestTimeoutSec: number;
}

/** The mirrors of one registry, in the order in which they are asked. */
export interface RegistryMirrors {
  /** `HOST[:PORT]`, or a URL. */
  readonly host: string;
  readonly mirrors: readonly MirrorSettings[];
}

// They are asked for everything that is read: SOCI indexes are found and fetched there, too.
const READING: ReadonlySet<HostCapability> = new Set(["pull", "resolve", "referrers"]);
const DOCKER_HUB_NAMES = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const DOCKER_HUB_API = "registry-1.docker.io";

/** The mirrors of all registries by their hosts. @throws failed-precondition with the key that is no host */
export function registryMirrors(
  registries: readonly RegistryMirrors[],
): ReadonlyMap<RegistryHost, readonly HostSettings[]> {
  const byHost = new Map<RegistryHost, readonly HostSettings[]>();
  for (const { host, mirrors } of registries) {
    const table = `resolver.host.${JSON.stringify(host)}`;
    const { host: name } = parseHost(host, table);
    const registry = (DOCKER_HUB_NAMES.includes(name) ? "docker.io" : name) as RegistryHost;
    const settings = mirrors.map((mirror, index) =>
      hostSettings(mirror, `${table}.mirrors[${index}].host`),
    );
    byHost.set(registry, [...(byHost.get(registry) ?? []), ...settings]);
  }
  return byHost;
}

function hostSettings(
  { host, insecure, requestTimeoutSec }: MirrorSettings,
  key: string,
): HostSettings {
  const url = parseHost(host, key);
  // A scheme that somebody wrote holds, but that "insecure" is the Go snapshotter's word for http.
  const isPlain =
    insecure || url.protocol === "http:" || (!host.includes("://") && isLoopback(url.host));
  const name = url.host === "docker.io" ? DOCKER_HUB_API : url.host;
  const path = url.pathname.replace(/\/+$/, "");
  return {
    api: new URL(`${isPlain ? "http" : "https"}://${name}${path === "" ? "/v2" : path}/`),
    capabilities: READING,
    isOrigin: false,
    ...(requestTimeoutSec === 0
      ? {}
      : {
          answerTimeoutMs:
            requestTimeoutSec < 0 ? Number.POSITIVE_INFINITY : requestTimeoutSec * 1000,
        }),
  };
}

function parseHost(text: string, key: string): URL {
  const url = URL.parse(text.includes("://") ? text : `https://${text}`);
  const isPlain =
    url !== null &&
    ["http:", "https:"].includes(url.protocol) &&
    url.host !== "" &&
    [url.username, url.password, url.search, url.hash].every((part) => part === "");
  if (!isPlain) {
    // Not quoted: it may hold a password.
    throw new SociError(
      "failed-precondition",
      `Cannot use ${key.includes("@") ? "a host of [resolver]" : key}: it is no HOST[:PORT] or http:// or https:// URL without user, query and fragment`,
    );
  }
  return url;
}
