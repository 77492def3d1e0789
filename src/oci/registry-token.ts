import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { AuthScope } from "./auth-scope.ts";
import { basicHeader, type Credentials, type IdentityTokenCredentials } from "./credentials.ts";
import type { HttpClient } from "./http.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import { JsonObject, parseJson } from "./json-document.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** What a token service gave. */
export interface RegistryToken {
  readonly header: string;
  /** As Date.now() counts: when not to use it any more. */
  readonly expiresAt: number;
  /** The refresh token to use from now on, where the service has changed it. */
  readonly identityToken: string | undefined;
}

export interface TokenRequest extends WaitOptions {
  readonly http: HttpClient;
  readonly service: string | undefined;
  readonly scopes: readonly AuthScope[];
  readonly credentials: Credentials | undefined;
  readonly tls: TlsSettings | undefined;
  /** Of the registry's configuration; the service belongs to it. */
  readonly headers?: Readonly<Record<string, string>>;
}

const MAX_TOKEN_BYTES = 1024 * 1024;
const MAX_TOKEN_SECONDS = 3600;
// The token service's specification: 60 seconds when it does not say.
// https://distribution.github.io/distribution/spec/auth/token/
const DEFAULT_TOKEN_SECONDS = 60;
// How services without the refresh grant answer it: Artifactory 401, ACR 400, GCR 404.
const NO_GRANT = [400, 401, 404, 405];

/**
 * Gets a token: by the refresh grant for an identity token, else by GET with Basic, or for everybody.
 * @throws unauthenticated when the answer is no token; HttpError when there is none
 */
export async function fetchToken(realm: URL, request: TokenRequest): Promise<RegistryToken> {
  const { credentials } = request;
  if (credentials === undefined || !("identityToken" in credentials)) {
    return await getToken(realm, request);
  }
  try {
    return await postToken(realm, request, credentials);
  } catch (error) {
    if (!(error instanceof HttpError) || !NO_GRANT.includes(error.status ?? 0)) {
      throw error;
    }
    // As containerd does: there the identity token is a password.
    return await getToken(realm, request);
  }
}

/** https://distribution.github.io/distribution/spec/auth/token/#requesting-a-token */
async function getToken(realm: URL, request: TokenRequest): Promise<RegistryToken> {
  const { http, service, scopes, credentials, tls, headers, signal } = request;
  const url = new URL(realm);
  if (service !== undefined) {
    url.searchParams.set("service", service);
  }
  for (const scope of scopes) {
    url.searchParams.append("scope", scope);
  }
  const authorization = credentials === undefined ? undefined : basicHeader(credentials);
  await using response = await http.request({
    method: "GET",
    url,
    headers: {
      ...headers,
      accept: "application/json",
      ...(authorization === undefined ? {} : { authorization }),
    },
    tls,
    signal,
  });
  return await readToken(response, realm);
}

/** https://distribution.github.io/distribution/spec/auth/oauth/#getting-a-token */
async function postToken(
  realm: URL,
  { http, service, scopes, tls, headers, signal }: TokenRequest,
  { identityToken }: IdentityTokenCredentials,
): Promise<RegistryToken> {
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    service: service ?? "",
    client_id: "sociable",
    scope: scopes.join(" "),
    refresh_token: identityToken,
  });
  const body = new TextEncoder().encode(form.toString());
  await using response = await http.request({
    method: "POST",
    url: realm,
    headers: {
      ...headers,
      accept: "application/json",
      "content-type": "application/x-www-form-urlencoded",
    },
    body: { size: body.length, open: () => [body] },
    // The body is a secret: it goes where the registry said, and nowhere else.
    maxRedirects: 0,
    tls,
    signal,
  });
  return await readToken(response, realm);
}

/** No failure of what was asked for: wrong bytes there are fetched again, a login is not. */
async function readToken(response: HttpResponse, url: URL): Promise<RegistryToken> {
  try {
    return parseToken(await response.bytes(MAX_TOKEN_BYTES), `token of "${url.host}"`);
  } catch (cause) {
    throw isKind(cause, "data-loss")
      ? new SociError("unauthenticated", `Cannot log in at "${url.host}"`, { cause })
      : cause;
  }
}

function parseToken(bytes: Uint8Array, what: string): RegistryToken {
  const limits = { maxBytes: MAX_TOKEN_BYTES, isSecret: true };
  const json = new JsonObject(parseJson(bytes, what, limits), what);
  const token = json.optionalString("token") ?? json.string("access_token");
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new SociError("unauthenticated", `Cannot use ${what}: it is empty or no plain text`);
  }
  const seconds = json.has("expires_in") ? json.size("expires_in") : DEFAULT_TOKEN_SECONDS;
  // A tenth early: the request takes its time. `issued_at` is not looked at: clocks differ.
  const validMs = Math.min(seconds, MAX_TOKEN_SECONDS) * 900;
  return {
    header: `Bearer ${token}`,
    expiresAt: Date.now() + validMs,
    identityToken: json.optionalString("refresh_token"),
  };
}
