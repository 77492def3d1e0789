import type { RegistryHost } from "./reference.ts";

export interface EndpointOptions {
  /** Speak HTTP without TLS, also to hosts that are not this machine. */
  readonly plainHttp?: boolean | undefined;
}

const DOCKER_HUB = "docker.io";
const DOCKER_HUB_API = "registry-1.docker.io";
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** Whether a registry is on this machine: plain HTTP is spoken to it, unless TLS is asked for. */
export function isLoopback(registry: string): boolean {
  return LOOPBACK.test(registry);
}

/** Where a registry is. Docker Hub's API is not at the host that names spell. */
export function registryEndpoint(
  registry: RegistryHost,
  { plainHttp = isLoopback(registry) && !registry.endsWith(":443") }: EndpointOptions = {},
): URL {
  const host = registry === DOCKER_HUB ? DOCKER_HUB_API : registry;
  return new URL(`${plainHttp ? "http" : "https"}://${host}/`);
}

/** Whether a URL is at the host of a registry, as far as its name says. */
export function isAtRegistry({ host }: URL, registry: RegistryHost): boolean {
  return host === registry || (registry === DOCKER_HUB && host === DOCKER_HUB_API);
}

/** The name under which credentials for a host are filed: `HOST[:PORT]`, or `docker.io`. */
export function credentialHostOf({ host }: URL): string {
  return host === DOCKER_HUB_API ? DOCKER_HUB : host;
}
