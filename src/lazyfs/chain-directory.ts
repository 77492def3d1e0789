import { SociError } from "../errors.ts";
import { DIRECTORY_SIZE, type NodeAttributes, S_IFDIR } from "../tree/node-attributes.ts";

interface NamedChain {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly chain: number;
  readonly place: number;
}

const NO_NAME = new Uint8Array(0);
const MODE = 0o755;

/**
 * The root of a mount that shows several chains: a directory each, whose names come and go. A name
 * keeps its place while it is there, so that a listing in parts gives it exactly once; the place of
 * one that went is empty until another takes it.
 */
export class ChainDirectory {
  readonly #byName = new Map<string, NamedChain>();
  readonly #places: (NamedChain | undefined)[] = [];
  #mtimeMs: number;

  constructor(mtimeMs: number) {
    this.#mtimeMs = mtimeMs;
  }

  /** @throws already-exists when one of the names is there */
  refuse(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.#byName.has(name)) continue;
      throw new SociError("already-exists", `Cannot add chain "${name}": there is one of the name`);
    }
  }

  /** @throws already-exists */
  add(name: string, chain: number, mtimeMs: number): void {
    this.refuse([name]);
    const free = this.#places.indexOf(undefined);
    const place = free < 0 ? this.#places.length : free;
    const named = { name, bytes: Buffer.from(name, "latin1"), chain, place };
    this.#byName.set(name, named);
    this.#places[place] = named;
    this.#mtimeMs = mtimeMs;
  }

  /** A name that is not there is none to remove. */
  remove(name: string, mtimeMs: number): void {
    const named = this.#byName.get(name);
    if (named === undefined) return;
    this.#byName.delete(name);
    this.#places[named.place] = undefined;
    while (this.#places.length > 0 && this.#places.at(-1) === undefined) this.#places.pop();
    this.#mtimeMs = mtimeMs;
  }

  /** Number of the chain of this name. */
  find(name: Uint8Array): number | undefined {
    return this.#byName.get(Buffer.from(name).toString("latin1"))?.chain;
  }

  /** Places, empty ones among them. */
  get length(): number {
    return this.#places.length;
  }

  /** Empty where no name is. */
  nameAt(place: number): Uint8Array {
    return this.#places[place]?.bytes ?? NO_NAME;
  }

  chainAt(place: number): number | undefined {
    return this.#places[place]?.chain;
  }

  attributes(out: NodeAttributes): void {
    out.mode = S_IFDIR | MODE;
    out.nlink = 2 + this.#byName.size;
    out.uid = 0;
    out.gid = 0;
    out.rdev = 0;
    out.size = DIRECTORY_SIZE;
    out.mtimeSeconds = Math.floor(this.#mtimeMs / 1000);
    out.mtimeNanoseconds = Math.floor((this.#mtimeMs % 1000) * 1_000_000);
  }
}
