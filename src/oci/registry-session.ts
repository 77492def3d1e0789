import type { WaitOptions } from "../async/wait-options.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { HttpClient, type HttpMethod } from "./http.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";
import type { HttpBody } from "./http-sending.ts";
import type { SourceStats } from "./image-source.ts";
import type { RegistryHost, RepositoryName } from "./reference.ts";
import { type Credentials, RegistryAuth } from "./registry-auth.ts";
import { registryEndpoint } from "./registry-endpoint.ts";
import type { RetryPolicy } from "./retry.ts";

export interface RegistrySessionOptions {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  readonly credentials?: Credentials | undefined;
  readonly plainHttp?: boolean | undefined;
  /** Shared between sessions when given. */
  readonly http?: HttpClient | undefined;
  readonly log?: Logger | undefined;
}

export interface RegistryRequest extends WaitOptions {
  readonly method: HttpMethod;
  /** Below `/v2/<repository>/`, or a whole URL that the registry gave us. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  readonly retry?: boolean;
}

/** Requests to one repository, authorized as the registry asks. */
export class RegistrySession {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  readonly log: Logger;
  readonly #http: HttpClient;
  readonly #auth: RegistryAuth;
  readonly #endpoint: URL;

  constructor({
    registry,
    repository,
    credentials,
    plainHttp,
    log = NO_LOG,
    http = new HttpClient({ log }),
  }: RegistrySessionOptions) {
    this.registry = registry;
    this.repository = repository;
    this.log = log;
    this.#http = http;
    this.#endpoint = registryEndpoint(registry, { plainHttp });
    this.#auth = new RegistryAuth({ http, endpoint: this.#endpoint, credentials });
  }

  /** `<registry>/<repository>`, for messages. */
  get name(): string {
    return `${this.registry}/${this.repository}`;
  }

  get stats(): SourceStats {
    return this.#http.stats;
  }

  get retryPolicy(): RetryPolicy {
    return this.#http.retryPolicy;
  }

  /** Sends a request; an error status is an HttpError. */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { path, ...rest } = request;
    const url = typeof path === "string" ? this.urlOf(path) : path;
    // The registry may send us elsewhere (Location of an upload): its credentials stay here.
    const isHere = url.origin === this.#endpoint.origin;
    const scope = this.#scopeOf(request.method);
    const header = isHere ? this.#auth.header(scope) : undefined;
    try {
      return await this.#http.request({ ...rest, url, headers: withAuth(request, header) });
    } catch (error) {
      const renewed = isHere ? await this.#renew(error, { request, scope, header }) : undefined;
      if (renewed === undefined) {
        throw error;
      }
      return await this.#http.request({ ...rest, url, headers: withAuth(request, renewed) });
    }
  }

  /** The URL of a path below `/v2/<repository>/`. */
  urlOf(path: string): URL {
    return new URL(`/v2/${this.repository}/${path}`, this.#endpoint);
  }

  /** Whether the registry itself is at `url`, rather than another host. */
  isOwn(url: URL): boolean {
    return url.origin === this.#endpoint.origin;
  }

  #scopeOf(method: HttpMethod): string {
    const actions =
      method === "GET" || method === "HEAD" ? "pull" : method === "DELETE" ? "delete" : "pull,push";
    return `repository:${this.repository}:${actions}`;
  }

  async #renew(
    error: unknown,
    {
      request,
      scope,
      header,
    }: {
      readonly request: RegistryRequest;
      readonly scope: string;
      readonly header: string | undefined;
    },
  ): Promise<string | undefined> {
    if (
      !(error instanceof HttpError) ||
      error.status !== 401 ||
      error.challenge === undefined ||
      error.origin !== this.#endpoint.origin
    ) {
      return undefined;
    }
    return await this.#auth.answer(error.challenge, {
      scope,
      refused: header,
      signal: request.signal,
    });
  }
}

function withAuth(
  { headers }: RegistryRequest,
  authorization: string | undefined,
): Readonly<Record<string, string>> {
  return { ...headers, ...(authorization === undefined ? {} : { authorization }) };
}
