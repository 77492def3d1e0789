import type { ConnectionPermit } from "./connection-limits.ts";
import { asHttpError, type FailedRequest } from "./http-failure.ts";
import { HttpResponse } from "./http-response.ts";
import type { IdleWatch } from "./idle-watch.ts";

export interface ReceiveOptions {
  readonly request: FailedRequest;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  readonly watch: IdleWatch;
  readonly permit: ConnectionPermit;
  readonly isRedirected: boolean;
  readonly documentTimeoutMs: number;
  readonly onBytes: (bytes: number) => void;
  /** Once, when the body has ended or is given up. */
  readonly onEnd: () => void;
}

// Reading the rest of so little is cheaper than another connection.
const MAX_DRAINED = 64 * 1024;
const DRAIN_MS = 1000;

/** Wraps what fetch() gave: the body is watched and counted, and lets go of all when it ends. */
export function receive(response: Response, options: ReceiveOptions): HttpResponse {
  const { request, signal, watch, permit, onBytes, onEnd } = options;
  const reader = response.body?.getReader();
  let isOpen = reader !== undefined;
  let isReleased = false;

  const drain = async (): Promise<void> => {
    const announced = response.headers.get("content-length");
    const isShort = announced !== null && Number(announced) <= MAX_DRAINED;
    if (reader === undefined || !isShort || watch.signal.aborted) {
      return;
    }
    using _deadline = watch.within(DRAIN_MS);
    while (!(await reader.read()).done);
    isOpen = false;
  };
  const release = async (): Promise<void> => {
    if (isReleased) {
      return;
    }
    isReleased = true;
    try {
      if (isOpen) {
        await drain();
      }
      if (isOpen) {
        await reader?.cancel();
      }
    } catch {
      // The stream has failed already, and whoever read it was told.
    } finally {
      watch[Symbol.dispose]();
      permit[Symbol.dispose]();
      onEnd();
    }
  };
  async function* body(): AsyncGenerator<Uint8Array> {
    let received = 0;
    try {
      for (;;) {
        watch.wait();
        const next = await reader?.read();
        // The time that our own reader takes is not the server's silence.
        watch.pause();
        if (next === undefined || next.done) {
          isOpen = false;
          return;
        }
        const { length } = next.value;
        received += length;
        watch.heard(length);
        onBytes(length);
        permit.pause();
        yield next.value;
        permit.resume();
      }
    } catch (cause) {
      isOpen = false;
      signal?.throwIfAborted();
      throw asHttpError(request, cause, `connection broke after ${received} bytes`);
    } finally {
      await release();
    }
  }
  return new HttpResponse(response, {
    url: request.url,
    isRedirected: options.isRedirected,
    body: body(),
    deadline: () => watch.within(options.documentTimeoutMs),
    release,
  });
}
