import { createHash } from "node:crypto";
import { SociError } from "../errors.ts";

declare const digestBrand: unique symbol;

/** `sha256:` and 64 lower-case hex digits: the name of a blob by its content. */
export type Digest = string & { readonly [digestBrand]: true };

const SHA256 = /^sha256:[0-9a-f]{64}$/;

/** Whether `text` is a digest that parseDigest() takes. */
export function isDigest(text: string): text is Digest {
  return SHA256.test(text);
}

/** Parses a digest; `what` names the object in the error. @throws invalid-argument */
export function parseDigest(text: string, what = "digest"): Digest {
  if (!isDigest(text)) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse ${what} ${JSON.stringify(text.slice(0, 100))}: want sha256:<64 hex digits>`,
    );
  }
  return text;
}

/** The 64 hex digits, as they name a blob's file in an OCI layout. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** The digest of bytes in memory. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

/** Digest of a stream of chunks, in one pass. Chunks are hashed at once: they may be reused after update(). */
export class Digester {
  readonly #hash = createHash("sha256");
  #size = 0;

  get size(): number {
    return this.#size;
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  /** Ends the digest; call once. */
  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}` as Digest;
  }
}
