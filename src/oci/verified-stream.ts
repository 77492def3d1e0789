import { SociError } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { Digester } from "./digest.ts";

/**
 * A blob's chunks, checked as they pass: the last one comes only when size and digest are those of
 * the descriptor. `what` names the blob and its place in errors. @throws data-loss
 */
export async function* verifyStream(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  what: string,
): AsyncGenerator<Uint8Array> {
  const digester = new Digester();
  let held: Uint8Array | undefined;
  for await (const chunk of chunks) {
    if (chunk.length === 0) {
      continue;
    }
    if (digester.size + chunk.length > size) {
      throw new SociError("data-loss", `Cannot use ${what}: more than ${size} bytes, want ${size}`);
    }
    digester.update(chunk);
    if (held !== undefined) {
      yield held;
    }
    held = chunk;
  }
  if (digester.size !== size) {
    throw new SociError("data-loss", `Cannot use ${what}: ${digester.size} bytes, want ${size}`);
  }
  const got = digester.digest();
  if (got !== digest) {
    throw new SociError("data-loss", `Cannot use ${what}: digest is "${got}", want "${digest}"`);
  }
  if (held !== undefined) {
    yield held;
  }
}
