import type { ByteName } from "./byte-name.ts";
import type { LayerDirectory } from "./layer-node.ts";
import { MAX_NAME_BYTES, MAX_PATH_BYTES } from "./layer-path.ts";

/** Where an entry goes. */
export interface Place {
  readonly parent: LayerDirectory;
  readonly base: ByteName;
  /** Of the parent's cleaned path, with a `/` at the end; of the root 0. */
  readonly pathBytes: number;
}

interface KnownDirectory {
  /** As entries spell it, with a `/` at the end; empty for the root. */
  readonly prefix: string;
  readonly directory: LayerDirectory;
  readonly pathBytes: number;
}

/** A hostile layer spells one directory in many ways. */
const MAX_KNOWN = 65_536;

/**
 * Directories of a layer by the paths that its entries spell: where the same path was spelt before, it
 * needs not be cleaned, checked and followed again. forget() them whenever a directory or a symlink
 * goes away. What comes new changes nothing: all on a known path exists.
 */
export class KnownDirectories {
  readonly #byPrefix = new Map<string, KnownDirectory>();
  /** Most entries are of the directory of the one before. */
  #last: KnownDirectory | undefined;

  /** The place of a path in a known directory; `undefined`: it must be found out. */
  place(path: ByteName): Place | undefined {
    const end = endOfBase(path);
    const baseStart = path.lastIndexOf("/", end - 1) + 1;
    const known = this.#find(path, baseStart);
    if (known === undefined) return undefined;
    const base = path.slice(baseStart, end) as ByteName;
    const { directory: parent, pathBytes } = known;
    const isPlain = isPlainName(base) && pathBytes + base.length <= MAX_PATH_BYTES;
    return isPlain ? { parent, base, pathBytes } : undefined;
  }

  /** `directory` is at `place`, which is that of `path`. */
  remember(path: ByteName, { base, pathBytes }: Place, directory: LayerDirectory): void {
    if (!isSpeltOut(path, base)) return;
    const prefix = path.endsWith("/") ? path : `${path}/`;
    this.#put({ prefix, directory, pathBytes: pathBytes + base.length + 1 });
  }

  /** `place` is that of `path`. */
  rememberParent(path: ByteName, { parent, base, pathBytes }: Place): void {
    if (!isSpeltOut(path, base)) return;
    const prefix = path.slice(0, endOfBase(path) - base.length);
    this.#put({ prefix, directory: parent, pathBytes });
  }

  forget(): void {
    this.#byPrefix.clear();
    this.#last = undefined;
  }

  #find(path: string, prefixLength: number): KnownDirectory | undefined {
    const last = this.#last;
    if (last?.prefix.length === prefixLength && path.startsWith(last.prefix)) return last;
    const known = this.#byPrefix.get(path.slice(0, prefixLength));
    if (known !== undefined) this.#last = known;
    return known;
  }

  #put(known: KnownDirectory): void {
    if (this.#byPrefix.size >= MAX_KNOWN) this.#byPrefix.clear();
    this.#byPrefix.set(known.prefix, known);
    this.#last = known;
  }
}

/** Where the last component of a path ends: a `/` may follow. */
function endOfBase(path: string): number {
  return path.endsWith("/") ? path.length - 1 : path.length;
}

/** Whether the path's last component stands there as it is, and is not what `..` left over. */
function isSpeltOut(path: string, base: string): boolean {
  const start = endOfBase(path) - base.length;
  return path.startsWith(base, start) && (start === 0 || path[start - 1] === "/");
}

/** Neither special nor too long: a path that ends in it needs no cleaning. */
function isPlainName(name: string): boolean {
  return (
    name !== "" &&
    name !== "." &&
    name !== ".." &&
    name.length <= MAX_NAME_BYTES &&
    !name.includes("\0")
  );
}
