import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Method } from "./api/service.ts";
import { fromGrpcError } from "./grpc-error.ts";

export interface CallOptions extends WaitOptions {
  /** What is tried, for errors: `prepare snapshot "x"`. */
  readonly what: string;
  /** 0: none. */
  readonly timeoutMs?: number;
}

export interface DuplexOptions extends CallOptions {
  /** Much is sent: over a connection of its own, which takes a moment to make. */
  readonly isLarge?: boolean;
}

export interface CallScope {
  readonly namespace?: string | undefined;
  /** Keeps what the calls make from being collected. */
  readonly lease?: string | undefined;
}

/** Messages to a service and its answers. Disposing ends the call, if it goes on. */
export interface DuplexCall<Request, Response> extends Disposable {
  /** Resolves when there is room for the next one. @throws what the call failed with */
  send(request: Partial<Request>): Promise<void>;
  /** Sends, and waits for an answer: the next one that comes. */
  ask(request: Partial<Request>): Promise<Response>;
  /** No more requests. Resolves to the last answer when the service has ended the call. */
  finish(): Promise<Response | undefined>;
}

// What hangs is an error: nothing that containerd does in one of these calls takes minutes.
const DEFAULT_TIMEOUT_MS = 120_000;

export interface CallsOptions extends CallScope {
  /** Makes another connection to the same service; without it all calls share one. */
  readonly connect?: (() => Client) | undefined;
}

/** Makes the calls of services; errors come as ours. */
export class ContainerdCalls {
  readonly #client: Client;
  readonly #options: CallsOptions;

  constructor(client: Client, options: CallsOptions = {}) {
    this.#client = client;
    this.#options = options;
  }

  within(scope: CallScope): ContainerdCalls {
    return new ContainerdCalls(this.#client, { ...this.#options, ...scope });
  }

  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Partial<Request>,
    { what, signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions,
  ): Promise<Response> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const call = this.#client.makeUnaryRequest(
      method.path,
      serializer(method),
      (bytes) => method.response.decode(bytes),
      request,
      this.#metadata(),
      deadlineIn(timeoutMs),
      (error, response) => {
        if (error !== null) reject(fromGrpcError(error, what));
        else resolve(response ?? method.response.create({}));
      },
    );
    return await cancellable(promise, { call, signal });
  }

  /** The answers as they come. Leaving the loop ends the call. */
  async *stream<Request, Response>(
    method: Method<Request, Response>,
    request: Partial<Request>,
    { what, signal, timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions,
  ): AsyncGenerator<Response> {
    signal?.throwIfAborted();
    const call = this.#client.makeServerStreamRequest(
      method.path,
      serializer(method),
      (bytes) => method.response.decode(bytes),
      request,
      this.#metadata(),
      deadlineIn(timeoutMs),
    );
    yield* responses(call, { what, signal });
  }

  duplex<Request, Response>(
    method: Method<Request, Response>,
    { what, signal, timeoutMs = 0, isLarge = false }: DuplexOptions,
  ): DuplexCall<Request, Response> {
    signal?.throwIfAborted();
    // Large messages of several calls on one connection of HTTP/2 wait for its window, and sometimes
    // nobody wakes them when it opens.
    const own = isLarge ? this.#options.connect?.() : undefined;
    const call = (own ?? this.#client).makeBidiStreamRequest(
      method.path,
      serializer(method),
      (bytes) => method.response.decode(bytes),
      this.#metadata(),
      deadlineIn(timeoutMs),
    );
    const duplex = openDuplex(call, { what, signal });
    return {
      ...duplex,
      [Symbol.dispose]: () => {
        duplex[Symbol.dispose]();
        own?.close();
      },
    };
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    const { namespace, lease } = this.#options;
    if (namespace !== undefined) metadata.set("containerd-namespace", namespace);
    if (lease !== undefined) metadata.set("containerd-lease", lease);
    return metadata;
  }
}

type StreamOptions = WaitOptions & { readonly what: string };

function serializer<Request, Response>(
  method: Method<Request, Response>,
): (value: Partial<Request>) => Buffer {
  return (value) => {
    const bytes = method.request.encode(value);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deadlineIn(ms: number): { readonly deadline?: number } {
  return ms === 0 ? {} : { deadline: Date.now() + ms };
}

async function cancellable<T>(
  promise: Promise<T>,
  { call, signal }: WaitOptions & { readonly call: { cancel(): void } },
): Promise<T> {
  const abort = (): void => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await promise;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function* responses<Response>(
  call: ClientReadableStream<Response>,
  { what, signal }: StreamOptions,
): AsyncGenerator<Response> {
  const abort = (): void => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  let isOver = false;
  try {
    for await (const response of call) yield response as Response;
    isOver = true;
  } catch (error) {
    isOver = true;
    signal?.throwIfAborted();
    throw isServiceError(error) ? fromGrpcError(error, what) : error;
  } finally {
    signal?.removeEventListener("abort", abort);
    if (!isOver) {
      // Its end by our cancel() is nobody's error.
      call.on("error", () => undefined);
      call.cancel();
    }
  }
}

function openDuplex<Request, Response>(
  call: ClientDuplexStream<Partial<Request>, Response>,
  { what, signal }: StreamOptions,
): DuplexCall<Request, Response> {
  const ended = Promise.withResolvers<Response | undefined>();
  // A call that is disposed of has nobody who waits for its end.
  ended.promise.catch(() => undefined);
  let last: Response | undefined;
  let isOver = false;
  let failure: { readonly reason: unknown } | undefined;
  const waiting = new Set<PromiseWithResolvers<Response | undefined>>();
  const abort = (): void => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  const fail = (reason: unknown): void => {
    isOver = true;
    signal?.removeEventListener("abort", abort);
    failure ??= { reason };
    for (const { reject } of waiting) reject(reason);
    waiting.clear();
    ended.reject(reason);
  };
  let asked: PromiseWithResolvers<Response | undefined> | undefined;
  call.on("data", (response: Response) => {
    last = response;
    asked?.resolve(response);
  });
  call.on("error", (error: unknown) => {
    if (signal?.aborted === true) fail(signal.reason);
    else fail(isServiceError(error) ? fromGrpcError(error, what) : error);
  });
  call.on("end", () => {
    ended.resolve(last);
    fail(new SociError("unavailable", `Cannot ${what}: containerd has ended the call`));
  });
  const wait = async (
    begin: (waiter: PromiseWithResolvers<Response | undefined>) => void,
  ): Promise<Response | undefined> => {
    if (failure !== undefined) throw failure.reason;
    const waiter = Promise.withResolvers<Response | undefined>();
    waiting.add(waiter);
    try {
      begin(waiter);
      return await waiter.promise;
    } finally {
      waiting.delete(waiter);
    }
  };
  return {
    send: async (request) => {
      await wait(({ resolve }) => call.write(request, () => resolve(undefined)));
    },
    ask: async (request) => {
      const answer = await wait((waiter) => {
        asked = waiter;
        call.write(request);
      });
      if (answer === undefined) throw new Error("A call was answered without an answer");
      return answer;
    },
    finish: async () => {
      call.end();
      return await ended.promise;
    },
    [Symbol.dispose]: () => {
      if (!isOver) call.cancel();
    },
  };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error;
}
