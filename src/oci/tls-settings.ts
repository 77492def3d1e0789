/** How TLS is spoken to one host, beyond what holds for every host. PEM texts, not file names. */
export interface TlsSettings {
  /** Every certificate authority that is trusted, instead of the default ones. */
  readonly ca?: readonly string[];
  /** What this client shows when the server asks who it is; never shown to a host that a redirect leads to. */
  readonly client?: { readonly cert: string; readonly key: string };
  /** Take any certificate, for any name. */
  readonly skipVerify?: boolean;
}

/** The same trust without our own identity: for hosts that the first one sends us to. */
export function withoutIdentity({ client: _client, ...trust }: TlsSettings): TlsSettings {
  return trust;
}
