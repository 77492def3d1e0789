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
  const place = root.locate(file.path);
  switch (file.kind) {
    case "program":
      return await removalOfProgram(file, { place, root });
    case "link":
      return removalOfLink(file, place);
    case "created":
      return removalOfCreated(file, place);
    case "edited":
      return removalOfEdited(file, realFile(place));
  }
}

type FileOf<K extends InstalledFile["kind"]> = Extract<InstalledFile, { readonly kind: K }>;

async function removalOfProgram(
  { path, sha256, before }: FileOf<"program">,
  { place, root }: { readonly place: string; readonly root: HostRoot },
): Promise<Answer> {
  const found = await sha256OfFile(place);
  if (found === undefined) return undefined;
  if (found !== sha256) return { path, reason: CHANGED };
  const from = before === undefined ? undefined : root.locate(before);
  return from !== undefined && lstatOf(from)?.isFile() === true
    ? { kind: "move-back", path, place, from }
    : { kind: "remove", path, place };
}

function removalOfLink({ path, target }: FileOf<"link">, place: string): Answer {
  const found = look(place);
  if (found.kind === "nothing") return undefined;
  const isOurs = found.kind === "link" && found.target === target;
  return isOurs ? { kind: "remove", path, place } : { path, reason: CHANGED };
}

function removalOfCreated({ path, sha256 }: FileOf<"created">, place: string): Answer {
  const found = look(place);
  if (found.kind === "nothing") return undefined;
  return found.kind === "file" && sha256OfBytes(found.bytes) === sha256
    ? { kind: "remove", path, place, before: found.bytes.toString() }
    : { path, reason: CHANGED };
}

function removalOfEdited(
  { path, sha256, isNew, before: original, undo }: FileOf<"edited">,
  place: string,
): Answer {
  const found = look(place);
  if (found.kind === "nothing") return undefined;
  if (found.kind !== "file") return { path, reason: CHANGED };
  const before = found.bytes.toString();
  const isOurs = sha256OfBytes(found.bytes) === sha256;
  if (isOurs && isNew === true) return { kind: "remove", path, place, before };
  const text = isOurs && original !== undefined ? original : undoToml(before, undo, { file: path });
  return text === before ? undefined : { kind: "restore", path, place, before, text };
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
