import type { ByteName } from "../tree/byte-name.ts";
import type { FileTree, NodeId } from "../tree/file-tree.ts";
import type { ResolvedPath } from "../tree/resolve-path.ts";

/** One line of a listing. */
export interface ListedFile {
  /** As it is shown: without the directory that heads the listing. */
  readonly name: ByteName;
  /** From the image's root, without a leading `/`. */
  readonly path: ByteName;
  readonly node: NodeId;
}

/** One directory's files, or the one file that was named. */
export interface Listing {
  /** What stands above it in a recursive listing, from the root; undefined: nothing does. */
  readonly heading: ByteName | undefined;
  readonly files: readonly ListedFile[];
}

/** The listings that `ls` shows for a path: the file, or the directory and, recursively, all below it. */
export function* listTree(
  tree: FileTree,
  { node, path }: ResolvedPath,
  { recursive }: { readonly recursive: boolean },
): Iterable<Listing> {
  if (tree.attributes(node).type !== "dir") {
    yield { heading: undefined, files: [{ name: path, path, node }] };
    return;
  }
  const pending = [{ node, path }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path: directory } = next;
    const files = [...tree.list(next.node)].map(({ name, node: child }) => ({
      name,
      path: (directory === "" ? name : `${directory}/${name}`) as ByteName,
      node: child,
    }));
    yield { heading: recursive ? directory : undefined, files };
    if (!recursive) return;
    for (const file of files.toReversed()) {
      if (tree.attributes(file.node).type === "dir") pending.push(file);
    }
  }
}
