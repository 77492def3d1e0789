import { rmdirSync } from "node:fs";
import { isErrno } from "../oci/fs-errors.ts";
import { undoToml } from "./edit-toml.ts";
import { attempt, look, lstatOf, moveFile, putFile, realFile, removeFile } from "./host-files.ts";
import type { HostRoot } from "./host-root.ts";
import { type InstalledFile, type InstallManifest, MANIFEST_PATH } from "./install-manifest.ts";
import type { KeptFile } from "./plan-install.ts";
import { sha256OfBytes, sha256OfFile } from "./sha256.ts";

/** One path that goes back to what it was. */
export type PlannedRemoval =
  | {
      readonly kind: "remove";
      readonly path: string;
      readonly place: string;
      readonly before?: string;
    }
  | {
      readonly kind: "restore";
      readonly path: string;
      readonly place: string;
      readonly before: string;
      readonly text: string;
    }
  | {
      readonly kind: "move-back";
      readonly path: string;
      readonly place: string;
      readonly from: string;
    };

export interface UninstallPlan {
  readonly removals: readonly PlannedRemoval[];
  /** What stays, because somebody has changed it. */
  readonly kept: readonly KeptFile[];
}

/** What taking an installation back would do. Nothing is changed. */
export async function planUninstall(
  manifest: InstallManifest,
  root: HostRoot,
): Promise<UninstallPlan> {
  const removals: PlannedRemoval[] = [];
  const kept: KeptFile[] = [];
  for (const file of manifest.files.toReversed()) {
    const found = await removalOf(file, root);
    if (found === undefined) continue;
    if ("reason" in found) kept.push(found);
    else removals.push(found);
  }
  return { removals, kept };
}

/** Does it, and forgets the list of what was installed last. */
export function applyUninstall(
  { removals }: UninstallPlan,
  { manifest, root }: { readonly manifest: InstallManifest; readonly root: HostRoot },
): void {
  for (const removal of removals) {
    const { place } = removal;
    if (removal.kind === "remove") removeFile(place);
    else if (removal.kind === "move-back") moveFile(removal.from, place);
    else putFile(place, Buffer.from(removal.text), { mode: 0o644 });
  }
  removeFile(root.locate(MANIFEST_PATH));
  for (const directory of manifest.directories.toSorted().toReversed()) {
    removeIfEmpty(root.locate(directory));
  }
}

type Answer = PlannedRemoval | KeptFile | undefined;

const CHANGED = "has been changed since it was installed";

async function removalOf(file: InstalledFile, root: HostRoot): Promise<Answer> {
  const { path } = file;
  const place = root.locate(path);
  if (file.kind === "program") {
    const sha256 = await sha256OfFile(place);
    if (sha256 === undefined) return undefined;
    if (sha256 !== file.sha256) return { path, reason: CHANGED };
    const from = file.before === undefined ? undefined : root.locate(file.before);
    return from !== undefined && lstatOf(from)?.isFile() === true
      ? { kind: "move-back", path, place, from }
      : { kind: "remove", path, place };
  }
  if (file.kind === "link") {
    const found = look(place);
    if (found.kind === "nothing") return undefined;
    const isOurs = found.kind === "link" && found.target === file.target;
    return isOurs ? { kind: "remove", path, place } : { path, reason: CHANGED };
  }
  const real = file.kind === "edited" ? realFile(place) : place;
  const found = look(real);
  if (found.kind === "nothing") return undefined;
  if (found.kind !== "file") return { path, reason: CHANGED };
  const before = found.bytes.toString();
  const isOurs = sha256OfBytes(found.bytes) === file.sha256;
  if (file.kind === "created") {
    return isOurs ? { kind: "remove", path, place, before } : { path, reason: CHANGED };
  }
  if (isOurs && file.isNew === "yes") return { kind: "remove", path, place: real, before };
  const text =
    isOurs && file.before !== undefined ? file.before : undoToml(before, file.undo, { file: path });
  return text === before ? undefined : { kind: "restore", path, place: real, before, text };
}

function removeIfEmpty(directory: string): void {
  attempt(`remove the directory "${directory}"`, () => {
    try {
      rmdirSync(directory);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTEMPTY", "EEXIST")) throw error;
    }
  });
}
