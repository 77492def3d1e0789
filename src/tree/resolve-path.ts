import { SociError } from "../errors.ts";
import { type ByteName, joinNames, quoteName } from "./byte-name.ts";
import type { FileTree, NodeId } from "./file-tree.ts";

export interface ResolvePathOptions {
  /** Whether a symlink at the very end is followed, as stat(2) does and lstat(2) does not. A path that ends in `/` always is. */
  readonly followLast?: boolean;
}

export interface ResolvedPath {
  readonly node: NodeId;
  /** From the root, without a leading `/`, without symlinks, `.` and `..`; empty for the root. */
  readonly path: ByteName;
}

// https://man7.org/linux/man-pages/man7/path_resolution.7.html
const MAX_LINKS = 40;

interface Step {
  readonly name: ByteName;
  readonly node: NodeId;
}

/**
 * Looks a path up as a process whose root directory is the tree's root would: from the root whether it
 * starts with `/` or not, symlinks followed, `..` of the root is the root.
 * @throws not-found for a name that does not exist or a component that is no directory;
 * failed-precondition after 40 symlinks
 */
export function resolvePath(
  tree: FileTree,
  path: ByteName,
  { followLast = true }: ResolvePathOptions = {},
): ResolvedPath {
  // The directories walked through, the root left out: `..` goes back along them.
  let steps: Step[] = [];
  const pending = componentsOf(path);
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    const directory = steps.at(-1)?.node ?? tree.root;
    if (tree.attributes(directory).type !== "dir") {
      throw notFound(path, `${quoteName(pathOf(steps))} is not a directory`);
    }
    if (part === "" || part === ".") continue;
    if (part === "..") {
      steps.pop();
      continue;
    }
    const node = tree.lookup(directory, part);
    if (node === undefined) {
      const missing = [pathOf(steps), part].filter((name) => name !== "").join("/");
      throw notFound(path, `${quoteName(missing)} does not exist`);
    }
    const { type, target } = tree.attributes(node);
    if (type !== "symlink" || (pending.length === 0 && !followLast)) {
      steps.push({ name: part, node });
      continue;
    }
    links++;
    if (links > MAX_LINKS) {
      throw new SociError(
        "failed-precondition",
        `Cannot resolve ${quoteName(path)}: more than ${MAX_LINKS} symlinks`,
      );
    }
    if (target.startsWith("/")) steps = [];
    for (const component of componentsOf(target)) pending.push(component);
  }
  return { node: steps.at(-1)?.node ?? tree.root, path: pathOf(steps) };
}

/** Last first. An empty last component stays: it says that the path must be a directory. */
function componentsOf(path: ByteName): ByteName[] {
  return path.split("/").reverse() as ByteName[];
}

function pathOf(steps: readonly Step[]): ByteName {
  return joinNames(steps.map((step) => step.name));
}

function notFound(path: ByteName, what: string): SociError {
  return new SociError("not-found", `Cannot resolve ${quoteName(path)}: ${what}`);
}
