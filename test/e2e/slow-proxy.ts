/** When a request was under way, in milliseconds of performance.now(). */
export interface Interval {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

/** A proxy that holds every answer back and remembers when requests were under way. */
export interface SlowProxy extends AsyncDisposable {
  readonly host: string;
  readonly intervals: Interval[];
}

/** Starts one before a registry. */
export function startSlowProxy(
  target: string,
  { delayMs }: { readonly delayMs: number },
): SlowProxy {
  const intervals: Interval[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const start = performance.now();
      const { pathname, search } = new URL(request.url);
      const range = request.headers.get("range");
      const answer = await fetch(`http://${target}${pathname}${search}`, {
        method: request.method,
        headers: range === null ? {} : { range },
        decompress: false,
      });
      const body = await answer.arrayBuffer();
      await Bun.sleep(delayMs);
      intervals.push({ path: pathname, start, end: performance.now() });
      return new Response(body, { status: answer.status, headers: answer.headers });
    },
  });
  return {
    host: `127.0.0.1:${server.port}`,
    intervals,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** How many requests were made one after another at most: each began when the one before had ended. */
export function longestChain(intervals: readonly Interval[]): number {
  let length = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const interval of intervals.toSorted((left, right) => left.end - right.end)) {
    if (interval.start < end) continue;
    length += 1;
    end = interval.end;
  }
  return length;
}
