import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type AuthChallenge, parseChallenges } from "./auth-challenge.ts";
import { type AuthScope, joinScopes, scopesCover } from "./auth-scope.ts";
import {
  areSameCredentials,
  basicHeader,
  type Credentials,
  type KeychainOptions,
} from "./credentials.ts";
import type { HttpClient } from "./http.ts";
import { HttpError } from "./http-error.ts";
import { fetchToken, type RegistryToken } from "./registry-token.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** `isRefused` is true of what the host has refused since it last took something. */
export type FindOptions = Pick<KeychainOptions, "signal" | "isRefused">;

export interface RegistryAuthOptions {
  readonly http: HttpClient;
  /** The host that the credentials are for. */
  readonly endpoint: URL;
  /** How its credentials are filed, for hints: `HOST[:PORT]`, or `docker.io`. */
  readonly name?: string;
  /** Asked when the host wants a login, and again when it refuses what was found. */
  readonly findCredentials?: (options: FindOptions) => Promise<Credentials | undefined>;
  /** For the token service, as for the host itself. */
  readonly tls?: TlsSettings | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AnswerOptions extends WaitOptions {
  readonly scopes: readonly AuthScope[];
  /** The header that the challenge came in spite of: it is not used again. */
  readonly refused?: string | undefined;
  /** The refusal is about who we are, not about the age of a token: the login itself is no good. */
  readonly isFinal?: boolean;
}

/** What a header was made of; nothing where everybody may come in. */
interface Login {
  readonly header: string;
  readonly credentials: Credentials | undefined;
}

interface ScopedToken extends RegistryToken, Login {
  readonly scopes: readonly AuthScope[];
}

const MAX_TOKENS = 64;
// A keychain that always finds another login is not believed for ever.
const MAX_REFUSED = 8;

/**
 * The Authorization headers for one host: none until it asks, then Basic, or a Bearer token for the
 * scopes of each request, renewed when it has expired. One token request is in flight per scope.
 * Credentials are looked up anew for each token, and after each refusal: the next ones that were not
 * refused are tried, and when there are none left the request fails and the next begins with all.
 */
export class RegistryAuth {
  readonly #http: HttpClient;
  readonly #endpoint: URL;
  readonly #name: string;
  readonly #findCredentials: (options: FindOptions) => Promise<Credentials | undefined>;
  readonly #tls: TlsSettings | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  /** By the number of refusals before. */
  readonly #lookups = new SingleFlight<number, Credentials | undefined>();
  readonly #flights = new SingleFlight<string, string | undefined>();
  /** Newest last. */
  #tokens: readonly ScopedToken[] = [];
  /** What a token was last asked for with: the next is fetched without waiting to be refused. */
  #bearer: AuthChallenge | undefined;
  #fixed: Login | undefined;
  #refused: readonly Credentials[] = [];
  #refusals = 0;
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

  /**
   * The header that answers a challenge, the last one when not given; `undefined` when there is none,
   * or only the refused one.
   */
  async answer(
    challenge: string | undefined,
    { scopes, refused, isFinal = false, signal }: AnswerOptions,
  ): Promise<string | undefined> {
    this.#forget(refused, isFinal);
    const current = this.#current(scopes);
    if (current !== undefined) {
      return current;
    }
    const challenges = challenge === undefined ? this.#lastChallenge() : parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    this.#bearer = bearer;
    if (bearer !== undefined) {
      return await this.#answerBearer(bearer, { scopes, refused, isFinal, signal });
    }
    if (!challenges.some(({ scheme }) => scheme === "basic")) {
      return undefined;
    }
    const credentials = await this.#find({ signal });
    const header = credentials === undefined ? undefined : basicHeader(credentials);
    this.#fixed = header === undefined || header === refused ? undefined : { header, credentials };
    return this.#fixed?.header;
  }

  #lastChallenge(): readonly AuthChallenge[] {
    return [this.#bearer ?? { scheme: "basic", params: new Map() }];
  }

  #current(scopes: readonly AuthScope[]): string | undefined {
    const isGood = (token: ScopedToken): boolean =>
      token.expiresAt > Date.now() && scopesCover(token.scopes, scopes);
    return (this.#fixed ?? this.#tokens.findLast(isGood))?.header;
  }

  async #answerBearer(
    challenge: AuthChallenge,
    { scopes, refused, isFinal = false, signal }: AnswerOptions,
  ): Promise<string | undefined> {
    const fetchHeader = (inner: AbortSignal): Promise<string | undefined> =>
      this.#fetchHeader(challenge, { scopes, isFinal, signal: inner });
    const key = `${isFinal} ${scopes.join(" ")}`;
    const header = await this.#flights.run(key, fetchHeader, { signal });
    if (header !== refused) {
      return header;
    }
    this.#forget(header, isFinal);
    return undefined;
  }

  /** `undefined` when there is no other login than those that were refused. */
  async #fetchHeader(
    challenge: AuthChallenge,
    { isFinal = false, ...options }: AnswerOptions,
  ): Promise<string | undefined> {
    let failure: unknown;
    for (;;) {
      const credentials = await this.#find(options);
      if (credentials === undefined && failure !== undefined) {
        throw failure;
      }
      if (credentials === undefined && isFinal) {
        return undefined;
      }
      if (credentials !== undefined && "registryToken" in credentials) {
        this.#fixed = { header: `Bearer ${credentials.registryToken}`, credentials };
        return this.#fixed.header;
      }
      try {
        const token = await this.#fetchToken(challenge, { ...options, credentials });
        this.#tokens = [...this.#tokens.slice(1 - MAX_TOKENS), token];
        return token.header;
      } catch (error) {
        if (credentials === undefined || !isRefusal(error)) {
          throw error;
        }
        failure = error;
        this.#refuse(credentials);
      }
    }
  }

  #forget(header: string | undefined, isFinal: boolean): void {
    if (header === undefined) {
      return;
    }
    const token = this.#tokens.find((known) => known.header === header);
    this.#tokens = this.#tokens.filter((known) => known !== token);
    const fixed = this.#fixed?.header === header ? this.#fixed : undefined;
    if (fixed !== undefined) {
      this.#fixed = undefined;
    }
    // A token may merely be too old.
    const credentials = (fixed ?? (isFinal ? token : undefined))?.credentials;
    if (credentials !== undefined) {
      this.#refuse(credentials);
    }
  }

  #refuse(credentials: Credentials): void {
    this.#refusals += 1;
    if (!this.#isRefused(credentials)) {
      this.#refused = [...this.#refused, credentials];
    }
  }

  #isRefused(credentials: Credentials): boolean {
    return this.#refused.some((refused) => areSameCredentials(refused, credentials));
  }

  async #find({ signal }: WaitOptions): Promise<Credentials | undefined> {
    const isRefused = (credentials: Credentials): boolean => this.#isRefused(credentials);
    const found =
      this.#refused.length >= MAX_REFUSED
        ? undefined
        : await this.#lookups.run(
            this.#refusals,
            (inner) => this.#findCredentials({ isRefused, signal: inner }),
            { signal },
          );
    if (found !== undefined && !isRefused(found)) {
      this.#wasAnonymous = false;
      return found;
    }
    this.#wasAnonymous = found === undefined && this.#refused.length === 0;
    // What was refused once may be right by the next request.
    this.#refused = [];
    return undefined;
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
      return { ...token, scopes, credentials };
    } catch (error) {
      throw isRefusal(error) ? error.withHint(this.hint()) : error;
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

function isRefusal(error: unknown): error is HttpError {
  return error instanceof HttpError && (error.status === 401 || error.status === 403);
}
