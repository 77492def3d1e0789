/** A secret as the API gives it. */
export interface KubernetesSecret {
  readonly type: string;
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly resourceVersion: string;
  };
  readonly data: Readonly<Record<string, unknown>>;
}

export interface KubernetesApiOptions {
  /** PEM. Plain HTTP when not given. */
  readonly tls?: {
    readonly cert: string;
    readonly key: string;
    /** Clients must show a certificate of this authority. */
    readonly clientCa?: string;
  };
  /** The Authorization header that lets in; everybody may come in when not given. */
  readonly authorization?: string;
}

interface Watcher {
  readonly send: (text: string) => void;
  readonly close: () => void;
}

/**
 * As much of a Kubernetes API server as secrets need: lists in pages, watches that go on from a
 * version, 410 for versions that are forgotten. Disposing stops it.
 */
export class KubernetesApi implements AsyncDisposable {
  authorization: string | undefined;
  /** Requests as `list` or `watch <version>`, in their order. */
  readonly requests: string[] = [];
  /** Answer so many requests with this status. */
  failures: { status: number; left: number } = { status: 503, left: 0 };
  /** Most items of one page, whatever is asked. */
  pageSize = Number.POSITIVE_INFINITY;
  readonly #server: Bun.Server<undefined>;
  readonly #secrets = new Map<string, KubernetesSecret>();
  readonly #events: { readonly version: number; readonly text: string }[] = [];
  readonly #watchers = new Set<Watcher>();
  #version = 100;
  #oldest = 0;

  constructor({ tls, authorization }: KubernetesApiOptions = {}) {
    this.authorization = authorization;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      development: false,
      ...(tls === undefined
        ? {}
        : {
            tls: {
              cert: tls.cert,
              key: tls.key,
              ...(tls.clientCa === undefined
                ? {}
                : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
            },
          }),
      fetch: (request) => this.#answer(request),
    });
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  get url(): string {
    return this.#server.url.href;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endWatches();
    await this.#server.stop(true);
  }

  /** Makes or changes a secret of logins; `config` is what `.dockerconfigjson` holds. */
  put(name: string, config: unknown, type = "kubernetes.io/dockerconfigjson"): void {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    this.putData(name, { ".dockerconfigjson": Buffer.from(text).toString("base64") }, type);
  }

  putData(name: string, data: Readonly<Record<string, unknown>>, type: string): void {
    const kind = this.#secrets.has(name) ? "MODIFIED" : "ADDED";
    const secret = this.#secretOf(name, data, type);
    this.#secrets.set(name, secret);
    this.#tell(kind, secret);
  }

  delete(name: string): void {
    const secret = this.#secrets.get(name);
    if (secret === undefined) return;
    this.#secrets.delete(name);
    this.#tell("DELETED", this.#secretOf(name, secret.data, secret.type));
  }

  /** Sends a line to all who watch, whatever it is. */
  say(text: string): void {
    for (const { send } of this.#watchers) send(`${text}\n`);
  }

  bookmark(): void {
    this.#version += 1;
    this.say(
      JSON.stringify({
        type: "BOOKMARK",
        object: { metadata: { resourceVersion: `${this.#version}` } },
      }),
    );
  }

  endWatches(): void {
    for (const { close } of this.#watchers) close();
    this.#watchers.clear();
  }

  /** Forgets the past: whoever wants to go on from before now must list again. */
  forget(): void {
    this.#version += 1;
    this.#oldest = this.#version;
    this.#events.length = 0;
  }

  #secretOf(name: string, data: Readonly<Record<string, unknown>>, type: string): KubernetesSecret {
    this.#version += 1;
    const [namespace = "", own = ""] = name.split("/");
    const metadata = { namespace, name: own, resourceVersion: `${this.#version}` };
    return { type, metadata, data };
  }

  #tell(type: string, object: KubernetesSecret): void {
    // As the real one does by the field selector.
    if (object.type !== "kubernetes.io/dockerconfigjson") return;
    const text = JSON.stringify({ type, object });
    this.#events.push({ version: this.#version, text });
    this.say(text);
  }

  #answer(request: Request): Response {
    const url = new URL(request.url);
    const query = url.searchParams;
    const isWatch = query.get("watch") === "1";
    const version = query.get("resourceVersion");
    this.requests.push(isWatch ? `watch ${version}` : "list");
    if (url.pathname !== "/api/v1/secrets") return status(404);
    if (this.failures.left > 0) {
      this.failures.left -= 1;
      return status(this.failures.status);
    }
    const given = request.headers.get("authorization");
    if (this.authorization !== undefined && given !== this.authorization) return status(401);
    if (query.get("fieldSelector") !== "type=kubernetes.io/dockerconfigjson") return status(400);
    return isWatch ? this.#watch(Number(version)) : this.#list(query);
  }

  #list(query: URLSearchParams): Response {
    const start = Number(query.get("continue") ?? 0);
    const limit = Math.min(Number(query.get("limit")), this.pageSize);
    const all = [...this.#secrets.values()].filter(
      ({ type }) => type === "kubernetes.io/dockerconfigjson",
    );
    const next = start + limit;
    const more = next < all.length ? { continue: `${next}` } : {};
    return Response.json({
      kind: "SecretList",
      metadata: { resourceVersion: `${this.#version}`, ...more },
      items: all.slice(start, next),
    });
  }

  #watch(version: number): Response {
    if (version < this.#oldest) return status(410);
    const missed = this.#events.filter((event) => event.version > version);
    const encoder = new TextEncoder();
    let watcher: Watcher | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = {
          send: (text) => controller.enqueue(encoder.encode(text)),
          close: () => controller.close(),
        };
        this.#watchers.add(watcher);
        for (const { text } of missed) watcher.send(`${text}\n`);
      },
      cancel: () => {
        if (watcher !== undefined) this.#watchers.delete(watcher);
      },
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }
}

function status(code: number): Response {
  return Response.json({ kind: "Status", status: "Failure", code }, { status: code });
}
