import type { Credentials } from "../../src/oci/credentials.ts";
import {
  ALL_CAPABILITIES,
  type HostCapability,
  type HostSettings,
} from "../../src/oci/host-settings.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import type { TestRegistry } from "../support/registry.ts";

export const RETRY = { maxRetries: 2, baseMs: 1, maxMs: 5, maxRetryAfterMs: 2000 };

interface HostOptions {
  readonly capabilities?: readonly HostCapability[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** A host that speaks for registry.example, as far as it can. */
export function mirror(
  { url }: Pick<TestRegistry, "url">,
  { capabilities = ["pull", "resolve", "referrers"], headers = {} }: HostOptions = {},
): HostSettings {
  return {
    api: new URL(`${url}/v2/`),
    capabilities: new Set(capabilities),
    isOrigin: false,
    headers,
  };
}

/** A host that is registry.example itself. */
export function origin({ url }: Pick<TestRegistry, "url">): HostSettings {
  return { api: new URL(`${url}/v2/`), capabilities: ALL_CAPABILITIES, isOrigin: true };
}

/** A client of registry.example's `app`, for which these hosts speak. */
export function clientOf(
  hosts: readonly HostSettings[],
  options: {
    readonly credentials?: Credentials;
    readonly mirrorTimeoutMs?: number;
    readonly keychain?: (host: string) => Promise<Credentials | undefined>;
  } = {},
): RegistryClient {
  return new RegistryClient({
    ...parseReference("registry.example/app"),
    http: new HttpClient({ retry: RETRY }),
    hosts,
    ...options,
  });
}
