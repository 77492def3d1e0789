import { createHash } from "node:crypto";
import { SociError } from "../errors.ts";

/** Uncompressed bytes that are verified together. */
const PIECE_BYTES = 1 << 20;
const DIGEST_BYTES = 32;

/** Digests of a layer's uncompressed bytes, piece by piece: so it can be streamed again from any host. */
export interface PieceDigests {
  /** SHA-256 of each PIECE_BYTES, one after another; the last piece may be shorter. */
  readonly digests: Uint8Array;
  /** Bytes in all. */
  readonly size: number;
}

/** Makes the digests of a stream that goes by. */
export class PieceDigester {
  readonly #digests: Uint8Array[] = [];
  #hash = createHash("sha256");
  #size = 0;

  update(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0;) {
      const part = rest.subarray(0, PIECE_BYTES - (this.#size % PIECE_BYTES));
      this.#hash.update(part);
      this.#size += part.length;
      if (this.#size % PIECE_BYTES === 0) this.#endPiece();
      rest = rest.subarray(part.length);
    }
  }

  /** Call once, after the last chunk. */
  finish(): PieceDigests {
    if (this.#size % PIECE_BYTES !== 0) this.#endPiece();
    return { digests: Buffer.concat(this.#digests), size: this.#size };
  }

  #endPiece(): void {
    this.#digests.push(this.#hash.digest());
    this.#hash = createHash("sha256");
  }
}

/** The same stream once more: each piece comes out when its digest is right. Views die with the next step. @throws data-loss */
export async function* verifyPieces(
  source: AsyncIterable<Uint8Array>,
  { digests, size }: PieceDigests,
  what: string,
): AsyncGenerator<Uint8Array, void> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, size));
  let start = 0;
  let length = 0;
  for await (const chunk of source) {
    if (start + length + chunk.length > size) {
      throw new SociError(
        "data-loss",
        `Cannot read ${what}: more than ${size} bytes come out of it`,
      );
    }
    for (let rest = chunk; rest.length > 0;) {
      const part = rest.subarray(0, piece.length - length);
      piece.set(part, length);
      length += part.length;
      rest = rest.subarray(part.length);
      if (length < piece.length && start + length < size) continue;
      const at = (start / PIECE_BYTES) * DIGEST_BYTES;
      const got = createHash("sha256").update(piece.subarray(0, length)).digest();
      if (!got.equals(digests.subarray(at, at + DIGEST_BYTES))) {
        throw new SociError(
          "data-loss",
          `Cannot read ${what}: bytes ${start} to ${start + length} of its tar are other bytes than before`,
        );
      }
      yield piece.subarray(0, length);
      start += length;
      length = 0;
    }
  }
  if (start < size) {
    throw new SociError(
      "data-loss",
      `Cannot read ${what}: its tar ends at byte ${start + length}, want ${size}`,
    );
  }
}
