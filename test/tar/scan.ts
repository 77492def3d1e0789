import { TarScanner } from "../../src/tar/tar-scanner.ts";
import type { TarEntry } from "../../src/tar/tar-entry.ts";

export interface ScanOptions {
  /** Bytes of the next chunk; all at once by default. The chunk is overwritten after the push. */
  readonly chunkBytes?: () => number;
}

export interface Scanned {
  readonly entries: readonly TarEntry[];
  readonly endOffset: number;
}

/** Scans a whole archive. */
export function scan(
  tar: Uint8Array,
  { chunkBytes = () => tar.length }: ScanOptions = {},
): Scanned {
  const entries: TarEntry[] = [];
  const scanner = new TarScanner({ onEntry: (entry) => entries.push(entry) });
  for (let at = 0; at < tar.length;) {
    const chunk = tar.slice(at, at + chunkBytes());
    scanner.push(chunk);
    at += chunk.length;
    chunk.fill(0xee);
  }
  scanner.finish();
  return { entries, endOffset: scanner.endOffset };
}

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
}

export function names(tar: Uint8Array): readonly (string | undefined)[] {
  return scan(tar).entries.map(({ name }) => text(name));
}

/** What scanning the archive throws. */
export function failure(tar: Uint8Array): unknown {
  try {
    scan(tar);
    return undefined;
  } catch (error) {
    return error;
  }
}
