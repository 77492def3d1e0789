import type { TlsSettings } from "./tls-settings.ts";

/** What may be asked of a host: bytes by digest, digests of tags, uploads, lists of referrers. */
export type HostCapability = "pull" | "resolve" | "push" | "referrers";

export const ALL_CAPABILITIES: ReadonlySet<HostCapability> = new Set([
  "pull",
  "resolve",
  "push",
  "referrers",
]);

/** One host that speaks for a registry: the registry itself, or a mirror of it. */
export interface HostSettings {
  /** The root of its API with a slash at the end, as in `https://registry.example.com/v2/`. */
  readonly api: URL;
  readonly capabilities: ReadonlySet<HostCapability>;
  /** Whether it is the registry rather than a mirror: it comes last, and its answer is final. */
  readonly isOrigin: boolean;
  readonly tls?: TlsSettings | undefined;
  /** Sent to this host and its token service only. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a mirror: longest silence before its answer, `Infinity` for as long as the registry itself may take. */
  readonly answerTimeoutMs?: number | undefined;
}
