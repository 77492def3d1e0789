import type { WaitOptions } from "../async/wait-options.ts";
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

// Nothing, an old token, a few logins.
const MAX_ATTEMPTS = 8;

interface Refusal extends WaitOptions {
  readonly header: string | undefined;
  readonly scopes: readonly AuthScope[];
  /** How often the request was sent. */
  readonly attempts: number;
}

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
      findCredentials: (options) =>
        keychain?.(credentialHost, { ...options, repository }) ?? Promise.resolve(undefined),
      tls: host.tls,
      ...(host.headers === undefined ? {} : { headers: host.headers }),
    });
  }

  get api(): URL {
    return this.#host.api;
  }

  /** Longest silence before its answer, where that is set. */
  get answerTimeoutMs(): number | undefined {
    return this.#host.answerTimeoutMs;
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

  /**
   * Sends a request to this host, authorized as it asks. An old token is renewed; a login that is
   * refused gives way to the next that the keychain has.
   */
  async send(request: HttpRequest, scopes: readonly AuthScope[]): Promise<HttpResponse> {
    let header = await this.#auth.header(scopes, request);
    for (let attempts = 1; ; attempts++) {
      try {
        return await this.#send(request, header);
      } catch (error) {
        if (!(error instanceof HttpError) || attempts === MAX_ATTEMPTS) {
          throw this.#explained(error);
        }
        if (error.code === EXPIRED_STORAGE && !this.#isOwn(error)) {
          if (attempts > 1) {
            throw error;
          }
          // The registry signs another URL for the same question.
          continue;
        }
        header = await this.#renew(error, { header, scopes, attempts, signal: request.signal });
        if (header === undefined) {
          throw this.#explained(error);
        }
      }
    }
  }

  /** The header to try next; `undefined` when no other may help. */
  async #renew(error: HttpError, refusal: Refusal): Promise<string | undefined> {
    const { header, scopes, attempts, signal } = refusal;
    if (!this.#isOwn(error)) {
      return undefined;
    }
    const isOld =
      error.code === EXPIRED_STORAGE ||
      (error.status === 403 && EXPIRED_LOGIN.test(error.reason ?? ""));
    const isAsking = error.status === 401 && error.challenge !== undefined;
    const isDenial = error.status === 403 && header !== undefined;
    if (!isOld && !isAsking && !isDenial) {
      return undefined;
    }
    // A header made for this very request is not too old; and a 403 knows who we are.
    const isFinal = attempts > 1 || (isDenial && !isOld);
    return await this.#auth.answer(error.challenge, { scopes, refused: header, isFinal, signal });
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
