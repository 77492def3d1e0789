import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type AuthChallenge, parseChallenges } from "./auth-challenge.ts";
import { type AuthScope, joinScopes, scopesCover } from "./auth-scope.ts";
import { basicHeader, type Credentials } from "./credentials.ts";
import type { HttpClient } from "./http.ts";
import { HttpError } from "./http-error.ts";
import { fetchToken, type RegistryToken } from "./registry-token.ts";
import type { TlsSettings } from "./tls-settings.ts";

export interface RegistryAuthOptions {
  readonly http: HttpClient;
  /** The host that the credentials are for. */
  readonly endpoint: URL;
  /** How its credentials are filed, for hints: `HOST[:PORT]`, or `docker.io`. */
  readonly name?: string;
  /** Asked when the host wants a login, and again when it refuses what was found. */
  readonly findCredentials?: (options: WaitOptions) => Promise<Credentials | undefined>;
  /** For the token service, as for the host itself. */
  readonly tls?: TlsSettings | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AnswerOptions extends WaitOptions {
  readonly scopes: readonly AuthScope[];
  /** The header that the challenge came in spite of: it is not used again. */
  readonly refused?: string | undefined;
}

interface ScopedToken extends RegistryToken {
  readonly scopes: readonly AuthScope[];
}

const MAX_TOKENS = 64;

/**
 * The Authorization headers for one host: none until it asks, then Basic, or a Bearer token for the
 * scopes of each request, renewed when it has expired. One token request is in flight per scope.
 */
export class RegistryAuth {
  readonly #http: HttpClient;
  readonly #endpoint: URL;
  readonly #name: string;
  readonly #findCredentials: (options: WaitOptions) => Promise<Credentials | undefined>;
  readonly #tls: TlsSettings | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #lookups = new SingleFlight<"credentials", Credentials | undefined>();
  readonly #flights = new SingleFlight<string, string>();
  /** Newest last. */
  #tokens: readonly ScopedToken[] = [];
  /** What a token was last asked for with: the next is fetched without waiting to be refused. */
  #bearer: AuthChallenge | undefined;
  #fixed: string | undefined;
  /** The refresh token that a service gave us in exchange for another. */
  #exchanged: { readonly from: string; readonly to: string } | undefined;
  #wasAnonymous = true;

  constructor({
    http,
    endpoint,
    name = endpoint.host,
    findCredentials = () => Promise.resolve(undefined),
    tls,
    headers = {},
  }: RegistryAuthOptions) {
    this.#http = http;
    this.#endpoint = endpoint;
    this.#name = name;
    this.#findCredentials = findCredentials;
    this.#tls = tls;
    this.#headers = headers;
  }

  /** What the user can do when the host lets us not in. */
  hint(): string {
    const name = this.#name;
    return this.#wasAnonymous
      ? `No credentials for "${name}" were found: log in with "docker login ${name}", or use --user`
      : `The credentials for "${name}" were not taken, or do not allow this`;
  }

  /**
   * The header for a request of these scopes; `undefined` as long as the host has not asked for one.
   * Fetches a token where the last one has expired.
   */
  async header(
    scopes: readonly AuthScope[],
    { signal }: WaitOptions = {},
  ): Promise<string | undefined> {
    const current = this.#current(scopes);
    return current === undefined && this.#bearer !== undefined
      ? await this.#answerBearer(this.#bearer, { scopes, signal })
      : current;
  }

  /** The header that answers a challenge; `undefined` when there is none, or only the refused one. */
  async answer(
    challenge: string,
    { scopes, refused, signal }: AnswerOptions,
  ): Promise<string | undefined> {
    this.#forget(refused);
    const current = this.#current(scopes);
    if (current !== undefined) {
      return current;
    }
    const challenges = parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    this.#bearer = bearer;
    if (bearer !== undefined) {
      return await this.#answerBearer(bearer, { scopes, refused, signal });
    }
    if (!challenges.some(({ scheme }) => scheme === "basic")) {
      return undefined;
    }
    const credentials = await this.#credentials({ signal });
    const header = credentials === undefined ? undefined : basicHeader(credentials);
    this.#fixed = header === refused ? undefined : header;
    return this.#fixed;
  }

  #current(scopes: readonly AuthScope[]): string | undefined {
    const isGood = (token: ScopedToken): boolean =>
      token.expiresAt > Date.now() && scopesCover(token.scopes, scopes);
    return this.#fixed ?? this.#tokens.findLast(isGood)?.header;
  }

  async #answerBearer(
    challenge: AuthChallenge,
    { scopes, refused, signal }: AnswerOptions,
  ): Promise<string | undefined> {
    const fetchHeader = (inner: AbortSignal): Promise<string> =>
      this.#fetchHeader(challenge, { scopes, signal: inner });
    const header = await this.#flights.run(scopes.join(" "), fetchHeader, { signal });
    this.#forget(header === refused ? refused : undefined);
    return header === refused ? undefined : header;
  }

  async #fetchHeader(challenge: AuthChallenge, options: AnswerOptions): Promise<string> {
    const credentials = await this.#credentials(options);
    if (credentials !== undefined && "registryToken" in credentials) {
      this.#fixed = `Bearer ${credentials.registryToken}`;
      return this.#fixed;
    }
    const token = await this.#fetchToken(challenge, { ...options, credentials });
    this.#tokens = [...this.#tokens.slice(1 - MAX_TOKENS), token];
    return token.header;
  }

  #forget(header: string | undefined): void {
    if (header !== undefined) {
      this.#tokens = this.#tokens.filter((token) => token.header !== header);
      this.#fixed = this.#fixed === header ? undefined : this.#fixed;
    }
  }

  async #credentials({ signal }: WaitOptions): Promise<Credentials | undefined> {
    const found = await this.#lookups.run(
      "credentials",
      (inner) => this.#findCredentials({ signal: inner }),
      { signal },
    );
    this.#wasAnonymous = found === undefined;
    return found;
  }

  async #fetchToken(
    { params }: AuthChallenge,
    {
      scopes,
      credentials,
      signal,
    }: AnswerOptions & { readonly credentials: Credentials | undefined },
  ): Promise<ScopedToken> {
    try {
      const token = await fetchToken(this.#realmUrl(params.get("realm")), {
        http: this.#http,
        service: params.get("service"),
        scopes: joinScopes(scopes, params.get("scope")),
        credentials: this.#newest(credentials),
        tls: this.#tls,
        headers: this.#headers,
        signal,
      });
      this.#remember(credentials, token.identityToken);
      return { ...token, scopes };
    } catch (error) {
      throw error instanceof HttpError && [401, 403].includes(error.status ?? 0)
        ? error.withHint(this.hint())
        : error;
    }
  }

  // A service may change the refresh token with each use; the old one may be worthless then.
  #newest(credentials: Credentials | undefined): Credentials | undefined {
    const isStale =
      credentials !== undefined &&
      "identityToken" in credentials &&
      credentials.identityToken === this.#exchanged?.from;
    return isStale && this.#exchanged !== undefined
      ? { ...credentials, identityToken: this.#exchanged.to }
      : credentials;
  }

  #remember(credentials: Credentials | undefined, to: string | undefined): void {
    if (to !== undefined && credentials !== undefined && "identityToken" in credentials) {
      this.#exchanged = { from: credentials.identityToken, to };
    }
  }

  // Credentials go there: never in clear text unless the registry itself is spoken to so.
  #realmUrl(realm: string | undefined): URL {
    const url = realm === undefined ? null : URL.parse(realm);
    const allowed = this.#endpoint.protocol === "http:" ? ["http:", "https:"] : ["https:"];
    if (url === null || !allowed.includes(url.protocol)) {
      throw new SociError(
        "unauthenticated",
        `Cannot log in to "${this.#endpoint.host}": its token service is ${JSON.stringify((realm ?? "").slice(0, 100))}, want an ${allowed.at(-1)}// URL`,
      );
    }
    return url;
  }
}
