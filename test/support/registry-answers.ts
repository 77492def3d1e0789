/** Something ordered for the next requests. */
export interface Fault<T> {
  readonly what: T;
  left: number;
}

/** The parts that came before, then the body. */
export async function* both(
  parts: readonly Uint8Array[],
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<Uint8Array> {
  yield* parts;
  if (body !== null) {
    yield* body;
  }
}

/** Uses up one of the orders that fit. */
export function take<T>(faults: Fault<T>[], isWanted: (what: T) => boolean): T | undefined {
  const fault = faults.find(({ what, left }) => left > 0 && isWanted(what));
  if (fault !== undefined) {
    fault.left -= 1;
  }
  return fault?.what;
}

export function fits(pattern: RegExp | undefined, path: string): boolean {
  return pattern === undefined || pattern.test(path);
}

/** The header of a login by Basic. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

export function errorBody(code: string, message: string): string {
  return JSON.stringify({ errors: [{ code, message }] });
}

/** An error as registries word it. */
export function error(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(errorBody(code, message), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}
