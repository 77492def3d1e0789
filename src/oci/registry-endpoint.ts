import type { RegistryHost } from "./reference.ts";

export interface EndpointOptions {
  /** Speak HTTP without TLS, also to hosts that are not this machine. */
  readonly plainHttp?: boolean | undefined;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** Whether a registry is on this machine: plain HTTP is spoken to it. */
export function isLoopback(registry: string): boolean {
  return LOOPBACK.test(registry);
}

/** Where a registry's API is. Docker Hub's is not at the host that names spell. */
export function registryEndpoint(
  registry: RegistryHost,
  { plainHttp = isLoopback(registry) }: EndpointOptions = {},
): URL {
  const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
  return new URL(`${plainHttp ? "http" : "https"}://${host}/`);
}
