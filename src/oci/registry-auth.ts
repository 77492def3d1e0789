import { SingleFlight } from "../async/single-flight.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type AuthChallenge, parseChallenges } from "./auth-challenge.ts";
import type { HttpClient } from "./http.ts";
import { JsonObject, parseJson } from "./json-document.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface RegistryAuthOptions {
  readonly http: HttpClient;
  /** The registry that the credentials are for. */
  readonly endpoint: URL;
  readonly credentials?: Credentials | undefined;
}

interface Token {
  readonly header: string;
  readonly expiresAt: number;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
const MAX_TOKEN_SECONDS = 3600;
// The token service's specification: 60 seconds when it does not say.
// https://distribution.github.io/distribution/spec/auth/token/
const DEFAULT_TOKEN_SECONDS = 60;

/**
 * The Authorization headers of one registry: none until it asks, then Basic, or a Bearer token for
 * each scope, renewed when it has expired. One token request is in flight per scope.
 */
export class RegistryAuth {
  readonly #http: HttpClient;
  readonly #endpoint: URL;
  readonly #credentials: Credentials | undefined;
  readonly #tokens = new Map<string, Token>();
  readonly #flights = new SingleFlight<string, Token>();
  #basic = false;

  constructor({ http, endpoint, credentials }: RegistryAuthOptions) {
    this.#http = http;
    this.#endpoint = endpoint;
    this.#credentials = credentials;
  }

  /** The header for a request of this scope, as far as the registry has asked for one before. */
  header(scope: string): string | undefined {
    if (this.#basic) {
      return this.#basicHeader();
    }
    const token = this.#tokens.get(scope);
    return token !== undefined && token.expiresAt > Date.now() ? token.header : undefined;
  }

  /**
   * The header that answers a challenge; `undefined` when there is none. A token that the challenge
   * came in spite of (`refused`) is not used again.
   */
  async answer(
    challenge: string,
    {
      scope,
      refused,
      signal,
    }: WaitOptions & { readonly scope: string; readonly refused?: string | undefined },
  ): Promise<string | undefined> {
    const current = this.header(scope);
    if (current !== undefined && current !== refused) {
      return current;
    }
    const challenges = parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) {
      const fetchToken = (inner: AbortSignal) => this.#fetchToken(bearer, scope, inner);
      const token = await this.#flights.run(scope, fetchToken, { signal });
      this.#tokens.set(scope, token);
      return token.header;
    }
    if (challenges.some(({ scheme }) => scheme === "basic") && this.#credentials !== undefined) {
      this.#basic = true;
      const header = this.#basicHeader();
      return header === refused ? undefined : header;
    }
    return undefined;
  }

  #basicHeader(): string | undefined {
    if (this.#credentials === undefined) {
      return undefined;
    }
    const { username, password } = this.#credentials;
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  async #fetchToken({ params }: AuthChallenge, scope: string, signal: AbortSignal): Promise<Token> {
    const url = this.#realmUrl(params.get("realm"));
    const service = params.get("service");
    if (service !== undefined) {
      url.searchParams.set("service", service);
    }
    url.searchParams.set("scope", scope);
    const authorization = this.#basicHeader();
    await using response = await this.#http.request({
      method: "GET",
      url,
      headers: {
        accept: "application/json",
        ...(authorization === undefined ? {} : { authorization }),
      },
      signal,
    });
    return parseToken(await response.bytes(MAX_TOKEN_BYTES), url);
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

function parseToken(bytes: Uint8Array, url: URL): Token {
  const what = `token of "${url.host}"`;
  const json = new JsonObject(parseJson(bytes, what, { maxBytes: MAX_TOKEN_BYTES }), what);
  const token = json.optionalString("token") ?? json.string("access_token");
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new SociError("unauthenticated", `Cannot use ${what}: it is empty or no plain text`);
  }
  const seconds = json.has("expires_in") ? json.size("expires_in") : DEFAULT_TOKEN_SECONDS;
  // A tenth early: clocks differ, and the request takes its time.
  const validMs = Math.min(seconds, MAX_TOKEN_SECONDS) * 900;
  return { header: `Bearer ${token}`, expiresAt: Date.now() + validMs };
}
