import { SociError } from "../errors.ts";
import { type ByteName, cleanPath, joinNames, quoteName } from "./byte-name.ts";
import type { Attributes } from "./attributes.ts";
import type { LayerDirectory, LayerNode } from "./layer-node.ts";

// The limits of containerd's unpacker and of Linux: PATH_MAX with its NUL, NAME_MAX.
const MAX_LINKS = 255;
export const MAX_PATH_BYTES = 4095;
export const MAX_NAME_BYTES = 255;

/** A directory of a layer or of the layers merged. */
interface PathDirectory {
  readonly kind: "directory";
  readonly children: ReadonlyMap<ByteName, PathNode>;
}

type PathNode =
  | PathDirectory
  | { readonly kind: "inode"; readonly attributes: Pick<Attributes, "type" | "target"> }
  | { readonly kind: "whiteout" | "lower-link" };

/** How much more may be walked because of symlinks, in components and bytes of targets: bounds the work of a hostile layer. */
export interface FollowBudget {
  left: number;
}

/**
 * Follows the symlinks of a directory's path, as containerd does before it puts an entry there: absolute and `..` targets stay inside the root; names that do not exist are taken as
 * they are. Returns the path without symlinks. @throws data-loss on a loop, an overlong path or a
 * budget used up
 */
export function followSymlinks(
  root: PathDirectory,
  path: readonly ByteName[],
  budget: FollowBudget,
): ByteName[] {
  let resolved: ByteName[] = [];
  let node: PathNode | undefined = root;
  let pending = [...path].reverse();
  let links = 0;
  for (;;) {
    const part = pending.pop();
    if (part === undefined) return resolved;
    const child: PathNode | undefined =
      node?.kind === "directory" ? node.children.get(part) : undefined;
    if (child?.kind !== "inode" || child.attributes.type !== "symlink") {
      resolved.push(part);
      node = child;
      continue;
    }
    links++;
    if (links > MAX_LINKS) {
      throw new SociError(
        "data-loss",
        `Cannot follow ${quoteName(joinNames(path))}: more than ${MAX_LINKS} symlinks`,
      );
    }
    const rest = [...cleanPath(child.attributes.target, resolved), ...pending.reverse()];
    if (joinNames(rest).length > MAX_PATH_BYTES) {
      throw new SociError(
        "data-loss",
        `Cannot follow ${quoteName(joinNames(path))}: its symlinks make a path of over ${MAX_PATH_BYTES} bytes`,
      );
    }
    budget.left -= rest.length + child.attributes.target.length;
    if (budget.left < 0) {
      throw new SociError(
        "data-loss",
        `Cannot follow ${quoteName(joinNames(path))}: the symlinks of this layer lead through too many directories`,
      );
    }
    pending = rest.reverse();
    resolved = [];
    node = root;
  }
}

/** The node at a path without symlinks; `undefined` when there is none. */
export function nodeAt(root: LayerDirectory, path: readonly ByteName[]): LayerNode | undefined {
  let node: LayerNode | undefined = root;
  for (const part of path) {
    if (node?.kind !== "directory") return undefined;
    node = node.children.get(part);
  }
  return node;
}
