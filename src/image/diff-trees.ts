import type { Digest } from "../oci/digest.ts";
import type { Attributes } from "../tree/attributes.ts";
import type { ByteName } from "../tree/byte-name.ts";
import type { DirectoryEntry, FileTree, NodeId } from "../tree/file-tree.ts";

/** An image's files, and which layers their bytes lie in. */
export interface DiffSide {
  readonly tree: FileTree;
  /** Bottom first: what a Content's `layer` counts. */
  readonly layers: readonly Digest[];
}

/** In what a file differs. `content`: its size, or its bytes. */
export type Aspect =
  "type" | "content" | "target" | "device" | "mode" | "owner" | "mtime" | "xattrs";

export const ASPECTS: readonly Aspect[] = [
  "type",
  "content",
  "target",
  "device",
  "mode",
  "owner",
  "mtime",
  "xattrs",
];

interface Found {
  /** From the root, without a leading `/`; the root itself is empty. */
  readonly path: ByteName;
}

/**
 * What became of one path from one image to another. `unverified`: nothing that a TOC says differs, but
 * the bytes lie in different layers, and only reading both would tell.
 */
export type FileDifference = Found &
  (
    | { readonly kind: "added"; readonly after: Attributes }
    | { readonly kind: "removed"; readonly before: Attributes }
    | {
        readonly kind: "changed";
        readonly before: Attributes;
        readonly after: Attributes;
        readonly aspects: readonly Aspect[];
      }
    | {
        readonly kind: "unverified" | "same";
        readonly before: Attributes;
        readonly after: Attributes;
      }
  );

export interface DiffOptions {
  /** Differences that do not count. */
  readonly ignore?: readonly Aspect[];
}

interface Pair {
  readonly path: ByteName;
  readonly before: NodeId | undefined;
  readonly after: NodeId | undefined;
}

/**
 * Compares every path of two images, from their trees alone. A directory comes before what is in it, the
 * names in it by their bytes. What is below an added or removed directory is listed too. Two names of
 * one file in one image, and two files in the other, are no difference.
 */
export function* diffTrees(
  before: DiffSide,
  after: DiffSide,
  { ignore = [] }: DiffOptions = {},
): Iterable<FileDifference> {
  const comparison = new Comparison(before, after, ignore);
  const root: Pair = { path: "" as ByteName, before: before.tree.root, after: after.tree.root };
  // One iterator for each directory on the way down: paths may be thousands of names deep.
  const open: Iterator<Pair>[] = [[root].values()];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const { value: pair, done } = top.next();
    if (done === true) {
      open.pop();
      continue;
    }
    yield comparison.compare(pair);
    open.push(comparison.children(pair));
  }
}

class Comparison {
  readonly #before: DiffSide;
  readonly #after: DiffSide;
  readonly #ignore: ReadonlySet<Aspect>;

  constructor(before: DiffSide, after: DiffSide, ignore: readonly Aspect[]) {
    this.#before = before;
    this.#after = after;
    this.#ignore = new Set(ignore);
  }

  compare({ path, before: old, after: now }: Pair): FileDifference {
    const before = old === undefined ? undefined : this.#before.tree.attributes(old);
    const after = now === undefined ? undefined : this.#after.tree.attributes(now);
    if (before === undefined || old === undefined) {
      if (after === undefined) throw new Error("A path is in neither of two trees");
      return { kind: "added", path, after };
    }
    if (after === undefined || now === undefined) return { kind: "removed", path, before };
    const isCounted = (aspect: Aspect): boolean => !this.#ignore.has(aspect);
    const aspects = [...aspectsOf(before, after)].filter(isCounted);
    const content = this.#compareContent(old, now);
    // One way to see it is enough: another size is another content.
    if (content === "different" && isCounted("content"))
      aspects.splice(contentPlace(aspects), 0, "content");
    if (aspects.length > 0) return { kind: "changed", path, before, after, aspects };
    const kind = content === "unknown" && isCounted("content") ? "unverified" : "same";
    return { kind, path, before, after };
  }

  *children({ path, before, after }: Pair): Generator<Pair> {
    const olds = before === undefined ? NOTHING : this.#before.tree.list(before);
    const nows = after === undefined ? NOTHING : this.#after.tree.list(after);
    for (const pair of mergeByName(olds, nows)) {
      const { name } = pair;
      yield {
        path: (path === "" ? name : `${path}/${name}`) as ByteName,
        before: pair.before,
        after: pair.after,
      };
    }
  }

  /** Of two regular files; anything else has no content of its own. */
  #compareContent(old: NodeId, now: NodeId): "same" | "different" | "unknown" {
    const before = this.#before.tree.content(old);
    const after = this.#after.tree.content(now);
    if (before === undefined || after === undefined) return "same";
    if (before.size !== after.size) return "different";
    if (before.size === 0) return "same";
    // Of one layer, one entry is one file; two entries may still hold the same bytes.
    const isSameEntry =
      this.#before.layers[before.layer] === this.#after.layers[after.layer] &&
      before.uncompressedOffset === after.uncompressedOffset;
    return isSameEntry ? "same" : "unknown";
  }
}

const NOTHING: readonly DirectoryEntry[] = [];

function* aspectsOf(before: Attributes, after: Attributes): Iterable<Aspect> {
  if (before.type !== after.type) yield "type";
  else {
    if (before.target !== after.target) yield "target";
    if (before.devmajor !== after.devmajor || before.devminor !== after.devminor) yield "device";
    // Links have no mode of their own, and that of another type says nothing.
    if (before.mode !== after.mode) yield "mode";
  }
  if (before.uid !== after.uid || before.gid !== after.gid) yield "owner";
  const [old, now] = [before.mtime, after.mtime];
  if (old.seconds !== now.seconds || old.nanoseconds !== now.nanoseconds) yield "mtime";
  if (!hasSameXattrs(before, after)) yield "xattrs";
}

/** After the type alone, as ASPECTS has them. */
function contentPlace(aspects: readonly Aspect[]): number {
  return aspects[0] === "type" ? 1 : 0;
}

function hasSameXattrs({ xattrs: before }: Attributes, { xattrs: after }: Attributes): boolean {
  return (
    before.length === after.length &&
    before.every(({ name, value }, i) => {
      const other = after[i];
      return name === other?.name && Buffer.from(value).equals(other.value);
    })
  );
}

interface NamedPair {
  readonly name: ByteName;
  readonly before: NodeId | undefined;
  readonly after: NodeId | undefined;
}

/** Of two lists sorted by name. */
function* mergeByName(
  olds: Iterable<DirectoryEntry>,
  nows: Iterable<DirectoryEntry>,
): Iterable<NamedPair> {
  const [left, right] = [olds[Symbol.iterator](), nows[Symbol.iterator]()];
  let [old, now] = [left.next(), right.next()];
  while (old.done !== true || now.done !== true) {
    const before = old.done === true ? undefined : old.value;
    const after = now.done === true ? undefined : now.value;
    if (before !== undefined && (after === undefined || before.name < after.name)) {
      yield { name: before.name, before: before.node, after: undefined };
      old = left.next();
    } else if (after !== undefined && (before === undefined || after.name < before.name)) {
      yield { name: after.name, before: undefined, after: after.node };
      now = right.next();
    } else if (before !== undefined && after !== undefined) {
      yield { name: before.name, before: before.node, after: after.node };
      old = left.next();
      now = right.next();
    }
  }
}
