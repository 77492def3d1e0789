import type { DirectoryChild, FuseAttr } from "../fuse/filesystem.ts";
import { ESTALE } from "../sys/errno.ts";
import { DIRECTORY_SIZE, S_IFDIR, S_IFREG } from "../tree/node-attributes.ts";
import { indexOf, nodeIdOf } from "./node-id.ts";

/** How much of a layer is local. */
export interface LayerState {
  readonly digest: string;
  /** Compressed bytes. */
  readonly size: number;
  readonly fetchedSize: number;
}

export interface StateFilesOptions {
  /** Table numbers of a chain's layers; undefined: there is no such chain. */
  readonly layersOf: (chain: number) => readonly number[] | undefined;
  /** Undefined: there is no such layer, or nobody knows. */
  readonly stateOf: (layer: number) => LayerState | undefined;
  /** Before which none of the files was made. */
  readonly mtimeMs: number;
}

/** In the root of each chain, found by this name and never listed, as the Go snapshotter has it. */
export const STATE_DIRECTORY = ".soci-snapshotter";

/** Nodes of table 0: a directory for each chain, and a file for each layer, by their tables' numbers. */
const DIRECTORIES = 2 ** 30;
const FILES = 2 ** 31;
const STATE_NAME = Buffer.from(STATE_DIRECTORY);
const SECOND_IN_BYTES = 1_000_000_000;
/** Digits of the longest percentage. */
const PERCENT_DIGITS = 20;

/**
 * For each chain a directory of one file a layer: what of it is local, as JSON. The kernel remembers
 * nothing of the files' attributes, and their pages as long as mtime stays: so that follows from the
 * content, alike in every thread, and the size never changes.
 */
export class StateFiles {
  readonly #options: StateFilesOptions;

  constructor(options: StateFilesOptions) {
    this.#options = options;
  }

  isDirectory(node: number): boolean {
    return isBelow(node, DIRECTORIES) && this.#layersIn(node) !== undefined;
  }

  /** The state directory of a chain, if this is its name; 0: it is not. */
  directoryOf(chain: number, name: Uint8Array): number {
    if (name.length !== STATE_NAME.length || !STATE_NAME.equals(name)) return 0;
    return nodeIdOf(0, DIRECTORIES + chain);
  }

  /** The node of a name in a state directory; 0: no such name. */
  find(directory: number, name: Uint8Array): number {
    const text = Buffer.from(name).toString("latin1");
    const layer = this.#layersIn(directory)?.find(
      (number) => fileName(this.#options.stateOf(number)) === text,
    );
    return layer === undefined ? 0 : nodeIdOf(0, FILES + layer);
  }

  /** Number of the chain of a state directory. */
  chainOf(directory: number): number {
    return indexOf(directory) - DIRECTORIES;
  }

  /** 0, or -ESTALE; owner and ino are left to the caller. */
  getattr(node: number, attr: FuseAttr): number {
    const { mtimeMs } = this.#options;
    attr.nlink = 1;
    attr.rdev = 0;
    attr.mtime = Math.floor(mtimeMs / 1000);
    attr.mtimeNsec = 0;
    if (this.isDirectory(node)) {
      attr.mode = S_IFDIR | 0o500;
      attr.nlink = 2;
      attr.size = DIRECTORY_SIZE;
      return 0;
    }
    const state = this.#stateOf(node);
    if (state === undefined) return -ESTALE;
    attr.mode = S_IFREG | 0o400;
    attr.size = contentOf(state).length;
    attr.mtime += Math.floor(state.fetchedSize / SECOND_IN_BYTES);
    attr.mtimeNsec = state.fetchedSize % SECOND_IN_BYTES;
    attr.isChanging = true;
    return 0;
  }

  /** The bytes of a file; undefined: the node is none. */
  content(node: number): Uint8Array | undefined {
    const state = this.#stateOf(node);
    return state === undefined ? undefined : contentOf(state);
  }

  childCount(directory: number): number {
    return this.#layersIn(directory)?.length ?? -ESTALE;
  }

  childAt(directory: number, index: number, out: DirectoryChild): void {
    const layer = this.#layersIn(directory)?.[index];
    const state = layer === undefined ? undefined : this.#options.stateOf(layer);
    // A name that is empty is passed over.
    out.name = Buffer.from(fileName(state) ?? "");
    out.node = nodeIdOf(0, FILES + (layer ?? 0));
    out.mode = S_IFREG;
  }

  /** Each layer once. */
  #layersIn(directory: number): readonly number[] | undefined {
    if (!isBelow(directory, DIRECTORIES)) return undefined;
    const layers = this.#options.layersOf(this.chainOf(directory));
    return layers === undefined ? undefined : [...new Set(layers)];
  }

  #stateOf(node: number): LayerState | undefined {
    return isBelow(node, FILES) ? this.#options.stateOf(indexOf(node) - FILES) : undefined;
  }
}

function isBelow(node: number, first: number): boolean {
  return node >= first && node < 2 * first;
}

function fileName(state: LayerState | undefined): string | undefined {
  return state === undefined ? undefined : `${state.digest}.json`;
}

function contentOf({ digest, size, fetchedSize }: LayerState): Uint8Array {
  const fetchedPercent = size === 0 ? 100 : (fetchedSize / size) * 100;
  const room = JSON.stringify({ digest, size, fetchedSize: size, fetchedPercent: 0 }).length;
  const json = JSON.stringify({ digest, size, fetchedSize, fetchedPercent });
  return Buffer.from(`${json.padEnd(room + PERCENT_DIGITS)}\n`);
}
