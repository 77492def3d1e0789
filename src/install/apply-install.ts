import { chmodSync, constants, copyFileSync, fsyncSync, openSync, closeSync } from "node:fs";
import { dirname } from "node:path";
import {
  keepBeside,
  lstatOf,
  look,
  makeDirectories,
  putFile,
  putLink,
  putWith,
} from "./host-files.ts";
import type { HostRoot } from "./host-root.ts";
import {
  decodeManifest,
  encodeManifest,
  type InstallManifest,
  MANIFEST_PATH,
  NO_MANIFEST,
} from "./install-manifest.ts";
import type { InstallPlan, PlannedChange } from "./plan-install.ts";

/** What earlier installations have done. @throws data-loss, unsupported for a list that cannot be used */
export function readManifest(root: HostRoot): InstallManifest {
  const found = look(root.locate(MANIFEST_PATH));
  return found.kind === "file" ? decodeManifest(found.bytes) : NO_MANIFEST;
}

/**
 * Does what was planned. The list of it is on disk before anything else is changed, so that what was
 * done before a crash can be taken back.
 */
export function applyInstall(
  plan: InstallPlan,
  { root, manifest }: { readonly root: HostRoot; readonly manifest: InstallManifest },
): void {
  if (plan.changes.length === 0) return;
  const list = root.locate(MANIFEST_PATH);
  const paths = [MANIFEST_PATH, ...plan.changes.map(({ path }) => path)];
  const missing = new Set(paths.flatMap((path) => missingParents(path, root)));
  const directories = [...new Set([...manifest.directories, ...missing])].toSorted();
  makeDirectories(dirname(list));
  putFile(list, encodeManifest({ files: plan.files, directories }), { mode: 0o600 });
  for (const change of plan.changes) {
    makeDirectories(dirname(change.place));
    apply(change);
  }
}

function missingParents(path: string, root: HostRoot): readonly string[] {
  const missing: string[] = [];
  for (let at = dirname(path); at !== "/" && lstatOf(root.locate(at)) === undefined;) {
    missing.push(at);
    at = dirname(at);
  }
  return missing;
}

function apply(change: PlannedChange): void {
  const { place } = change;
  if (change.kind === "write") putFile(place, Buffer.from(change.text), { mode: change.mode });
  else if (change.kind === "link") putLink(place, change.target);
  else {
    if (change.keepAs !== undefined) keepBeside(place, change.keepAs);
    putWith(place, (beside) => copyProgram(change.source, beside));
  }
}

/** A running program cannot be written to, but it can be replaced. */
function copyProgram(source: string, target: string): void {
  copyFileSync(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  chmodSync(target, 0o755);
  const fd = openSync(target, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
