import type { ByteName } from "../../tree/byte-name.ts";
import { shownPath } from "./shown-path.ts";

interface Node {
  readonly parent: Node | undefined;
  readonly name: ByteName;
  /** Of all files below it. */
  bytes: number;
  /** Files right in it. */
  ownFiles: number;
  readonly children: Map<ByteName, Node>;
}

// A hostile layer has as many directories as entries; a picture does not get better by them.
const MAX_NODES = 200_000;

/**
 * Divides the files of a layer among a few directories: the largest is opened again and again, so that
 * a picture of the parts tells most.
 */
export class DirectoryCut {
  readonly #root: Node = newNode(undefined, "" as ByteName);
  #nodes = 1;

  /** A file of `bytes` in the directory of this path. */
  add(directory: readonly ByteName[], bytes: number): void {
    const size = Math.max(0, bytes);
    let node = this.#root;
    node.bytes += size;
    for (const name of directory) {
      let child = node.children.get(name);
      if (child === undefined) {
        if (this.#nodes >= MAX_NODES) break;
        child = newNode(node, name);
        node.children.set(name, child);
        this.#nodes++;
      }
      child.bytes += size;
      node = child;
    }
    node.ownFiles++;
  }

  /**
   * Tells of a directory which part its files belong to, by name: `/usr/lib`, or `/usr/*` for what is in
   * /usr and in those directories below it that are no parts. There are at most `max`, and at least one.
   */
  parts(max: number): (directory: readonly ByteName[]) => string {
    const opened = this.#open(max);
    const names = new Map<Node, string>();
    return (directory) => {
      let node = this.#root;
      for (const name of directory) {
        const child = node.children.get(name);
        if (child === undefined || opened.get(node)?.has(child) !== true) break;
        node = child;
      }
      let name = names.get(node);
      if (name === undefined) {
        name = nameOf(node, opened.has(node));
        names.set(node, name);
      }
      return name;
    };
  }

  /** Directories that are shown in parts, with those of their children that are parts of their own. */
  #open(max: number): ReadonlyMap<Node, ReadonlySet<Node>> {
    const opened = new Map<Node, ReadonlySet<Node>>();
    const closed = new Set([this.#root]);
    // Smaller ones would be a dot in the picture.
    const smallest = this.#root.bytes / (4 * max);
    let count = 1;
    for (;;) {
      const node = largest(closed);
      if (node === undefined) return opened;
      closed.delete(node);
      const chosen = chooseChildren(node, { room: max - count, smallest });
      if (chosen.length === 0) continue;
      opened.set(node, new Set(chosen));
      for (const child of chosen) closed.add(child);
      count += chosen.length - (hasRest(node, chosen.length) ? 0 : 1);
    }
  }
}

/** Those that are large enough to be seen, the largest where there is no room for all; of the root every one. */
function chooseChildren(
  node: Node,
  { room, smallest }: { readonly room: number; readonly smallest: number },
): readonly Node[] {
  const children = [...node.children.values()];
  const isRoot = node.parent === undefined;
  const seen = children
    .filter(({ bytes }) => isRoot || bytes >= smallest)
    .sort((a, b) => b.bytes - a.bytes);
  const growth = seen.length - (hasRest(node, seen.length) ? 0 : 1);
  return growth <= room ? seen : seen.slice(0, room);
}

/** Whether something of a directory is in none of so many of its children. */
function hasRest({ children, ownFiles }: Node, chosen: number): boolean {
  return ownFiles > 0 || chosen < children.size;
}

function largest(nodes: Iterable<Node>): Node | undefined {
  let best: Node | undefined;
  for (const node of nodes) {
    if (best === undefined || node.bytes > best.bytes) best = node;
  }
  return best;
}

function nameOf(node: Node, isOpen: boolean): string {
  const path: ByteName[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) path.unshift(at.name);
  if (path.length === 0) return isOpen ? "/*" : "/";
  return isOpen ? `${shownPath(path)}/*` : shownPath(path);
}

function newNode(parent: Node | undefined, name: ByteName): Node {
  return { parent, name, bytes: 0, ownFiles: 0, children: new Map() };
}
