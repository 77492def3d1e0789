import type { AuthScope } from "./auth-scope.ts";
import type { Keychain } from "./credentials.ts";
import type { HostCapability, HostSettings } from "./host-settings.ts";
import type { HttpClient, HttpRequest } from "./http.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RepositoryName } from "./reference.ts";
import { RegistryAuth } from "./registry-auth.ts";

export interface RegistryPeerOptions {
  readonly http: HttpClient;
  readonly host: HostSettings;
  /** As credentials are filed: `HOST[:PORT]`, or `docker.io`. */
  readonly credentialHost: string;
  readonly keychain: Keychain | undefined;
  /** The repository that requests are about. */
  readonly repository: RepositoryName;
}

// The registry of Amazon ECR answers an old password with 403.
const EXPIRED_LOGIN = /authorization token has expired/i;
// What S3 calls a signed URL or session that has run out, with status 400.
const EXPIRED_STORAGE = "ExpiredToken";

/** One host that speaks for a registry: requests to it carry its own credentials and headers. */
export class RegistryPeer {
  readonly #http: HttpClient;
  readonly #host: HostSettings;
  readonly #auth: RegistryAuth;

  constructor({ http, host, credentialHost, keychain, repository }: RegistryPeerOptions) {
    this.#http = http;
    this.#host = host;
    this.#auth = new RegistryAuth({
      http,
      endpoint: host.api,
      name: credentialHost,
      findCredentials: ({ signal }) =>
        keychain?.(credentialHost, { repository, signal }) ?? Promise.resolve(undefined),
      tls: host.tls,
      ...(host.headers === undefined ? {} : { headers: host.headers }),
    });
  }

  get api(): URL {
    return this.#host.api;
  }

  get isOrigin(): boolean {
    return this.#host.isOrigin;
  }

  can(capability: HostCapability): boolean {
    return this.#host.capabilities.has(capability);
  }

  /** Whether the host itself is at `url`. */
  isAt(url: URL): boolean {
    return url.origin === this.#host.api.origin;
  }

  /** Sends a request to this host, authorized as it asks; credentials that it refuses are renewed once. */
  async send(request: HttpRequest, scopes: readonly AuthScope[]): Promise<HttpResponse> {
    const header = await this.#auth.header(scopes, request);
    let renewed: string | undefined;
    try {
      return await this.#send(request, header);
    } catch (error) {
      const { signal } = request;
      if (!(error instanceof HttpError)) {
        throw error;
      }
      if (error.code === EXPIRED_STORAGE && !this.#isOwn(error)) {
        // The registry signs another URL for the same question.
        renewed = header;
      } else {
        const challenge = this.#challengeOf(error);
        renewed =
          challenge === undefined
            ? undefined
            : await this.#auth.answer(challenge, { scopes, refused: header, signal });
        if (renewed === undefined) {
          throw this.#explained(error);
        }
      }
    }
    try {
      return await this.#send(request, renewed);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async #send(request: HttpRequest, authorization: string | undefined): Promise<HttpResponse> {
    return await this.#http.request({
      ...request,
      tls: this.#host.tls,
      headers: {
        ...this.#host.headers,
        ...request.headers,
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
  }

  /** What the host wants to see; `undefined` when credentials are not what is missing. */
  #challengeOf(error: HttpError): string | undefined {
    if (!this.#isOwn(error)) {
      return undefined;
    }
    if (error.status === 401) {
      return error.challenge;
    }
    const isExpired =
      error.code === EXPIRED_STORAGE ||
      (error.status === 403 && EXPIRED_LOGIN.test(error.reason ?? ""));
    return isExpired ? (error.challenge ?? "Basic") : undefined;
  }

  #isOwn({ origin }: HttpError): boolean {
    return origin === this.#host.api.origin;
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof HttpError) || !this.#isOwn(error)) {
      return error;
    }
    switch (error.status) {
      case 401:
      case 403:
        return error.withHint(this.#auth.hint());
      case 400:
        // How Go's servers answer HTTP on a port of TLS; this machine is spoken to so by default.
        return this.#host.api.protocol === "http:"
          ? error.withHint("If it speaks TLS: --tlscacert FILE, or --skip-verify")
          : error;
      default:
        return error;
    }
  }
}
