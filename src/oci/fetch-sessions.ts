import { type TlsSettings, withoutIdentity } from "./tls-settings.ts";

// Said outright, since otherwise NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would decide.
const COMMON = new Bun.FetchSession({ tls: tlsOptions({}) });

/**
 * A pool of connections for each TLS settings object. Given with every request, a list of authorities
 * would be hashed with every request: 400 kB of certificates, four times the cost of a small one.
 */
export class FetchSessions {
  readonly #sessions = new WeakMap<TlsSettings, Bun.FetchSession>();
  readonly #strangers = new WeakMap<TlsSettings, TlsSettings>();

  /** The pool of these settings; without any, one that the whole thread shares. */
  get(settings: TlsSettings | undefined): Bun.FetchSession {
    if (settings === undefined) {
      return COMMON;
    }
    let session = this.#sessions.get(settings);
    if (session === undefined) {
      session = new Bun.FetchSession({ tls: tlsOptions(settings) });
      this.#sessions.set(settings, session);
    }
    return session;
  }

  /** The same trust without our own identity: for hosts that a redirect leads to. */
  strangerOf(settings: TlsSettings | undefined): TlsSettings | undefined {
    if (settings?.client === undefined) {
      return settings;
    }
    let stranger = this.#strangers.get(settings);
    if (stranger === undefined) {
      stranger = withoutIdentity(settings);
      this.#strangers.set(settings, stranger);
    }
    return stranger;
  }
}

function tlsOptions({ ca, client, skipVerify = false }: TlsSettings): Bun.TLSOptions {
  return {
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ...client,
    rejectUnauthorized: !skipVerify,
  };
}
