import { containerdSettings } from "./containerd-settings.ts";
import { daemonConfigText } from "./daemon-config-text.ts";
import { editToml, type TomlUndo } from "./edit-toml.ts";
import { type Found, look, realFile } from "./host-files.ts";
import type { HostRoot } from "./host-root.ts";
import type { InstalledFile, InstallManifest } from "./install-manifest.ts";
import { sha256OfBytes, sha256OfFile } from "./sha256.ts";
import { serviceUnit, socketUnit } from "./systemd-units.ts";

export interface InstallOptions {
  readonly root: HostRoot;
  /** Our own executable, and where it shall lie on the host; the same where it lies there already. */
  readonly program: { readonly source: string; readonly path: string };
  readonly containerd: {
    readonly config: string;
    /** `undefined` when nobody knows. */
    readonly version: string | undefined;
    /** As it shall call us. */
    readonly name: string;
    readonly cri: boolean;
    /** As `linux/amd64`. */
    readonly platform: string;
  };
  /** Whether the names of the Go snapshotter's programs shall be ours, too. */
  readonly symlinks: boolean;
  readonly socket: string;
  readonly stateRoot: string;
}

/** One path of the host that changes. Paths are the host's; `place` is where that lies here. */
export type PlannedChange =
  | {
      readonly kind: "write";
      readonly path: string;
      readonly place: string;
      readonly before: string | undefined;
      readonly text: string;
      readonly mode: number;
      readonly record: InstalledFile;
    }
  | {
      readonly kind: "link";
      readonly path: string;
      readonly place: string;
      readonly target: string;
      readonly record: InstalledFile;
    }
  | {
      readonly kind: "program";
      readonly path: string;
      readonly place: string;
      readonly source: string;
      /** The name, in the same directory, for the one that is there and was not ours. */
      readonly keepAs: string | undefined;
      readonly record: InstalledFile;
    };

export interface KeptFile {
  readonly path: string;
  readonly reason: string;
}

export interface InstallPlan {
  readonly changes: readonly PlannedChange[];
  /** What is not as it should be, and was left because somebody else made it so. */
  readonly kept: readonly KeptFile[];
  /** What uninstalling will have to know. */
  readonly files: readonly InstalledFile[];
  readonly containerdChanged: boolean;
}

export const SERVICE_PATH = "/etc/systemd/system/sociable.service";
export const SOCKET_PATH = "/etc/systemd/system/sociable.socket";
export const CONFIG_PATH = "/etc/sociable/config.toml";
const LINKS = ["/usr/local/bin/soci", "/usr/local/bin/soci-snapshotter-grpc"];
const KEPT_PROGRAM = ".sociable.before-install";

/** What an installation would do. Nothing is written. @throws failed-precondition for files it cannot change */
export async function planInstall(
  options: InstallOptions,
  manifest: InstallManifest,
): Promise<InstallPlan> {
  const { root, program, socket, symlinks } = options;
  const plan = new PlanBuilder(root, manifest);
  await plan.program(program);
  plan.created(CONFIG_PATH, daemonConfigText(), { isOthersFine: true });
  plan.created(SOCKET_PATH, socketUnit({ socket }));
  plan.created(SERVICE_PATH, serviceUnit({ program: program.path }));
  if (symlinks) for (const path of LINKS) plan.link(path, program.path);
  const before = plan.changes.length;
  planContainerd(plan, options);
  return {
    changes: plan.changes,
    kept: plan.kept,
    files: plan.files,
    containerdChanged: plan.changes.length > before,
  };
}

function planContainerd(plan: PlanBuilder, options: InstallOptions): void {
  const { containerd, socket, stateRoot } = options;
  const { config: path } = containerd;
  const found = plan.textAt(path);
  const settings = containerdSettings({
    ...containerd,
    text: found,
    file: path,
    socket,
    root: stateRoot,
  });
  for (const reason of settings.conflicts) plan.kept.push({ path, reason });
  if (settings.dropIn !== undefined) plan.created(settings.dropIn.file, settings.dropIn.text);
  const { text, undo } = editToml(found ?? "", settings.edits, { file: path });
  if (undo.length > 0) plan.edited(path, { before: found, text, undo });
}

class PlanBuilder {
  readonly changes: PlannedChange[] = [];
  readonly kept: KeptFile[] = [];
  readonly #files: Map<string, InstalledFile>;
  readonly #root: HostRoot;

  constructor(root: HostRoot, { files }: InstallManifest) {
    this.#root = root;
    this.#files = new Map(files.map((file) => [file.path, file]));
  }

  get files(): readonly InstalledFile[] {
    return Array.from(this.#files.values());
  }

  async program({ source, path }: InstallOptions["program"]): Promise<void> {
    const place = this.#root.locate(path);
    const found = await sha256OfFile(place);
    const sha256 = await sha256OfFile(source);
    if (sha256 === undefined || found === sha256) return;
    const recorded = this.#files.get(path);
    const wasOurs = recorded?.kind === "program";
    const isOthers = found !== undefined && !wasOurs;
    const before = isOthers
      ? path.replace(/[^/]*$/, KEPT_PROGRAM)
      : wasOurs
        ? recorded.before
        : undefined;
    this.#add({
      kind: "program",
      path,
      place,
      source,
      keepAs: isOthers ? KEPT_PROGRAM : undefined,
      record: { kind: "program", path, sha256, before },
    });
  }

  /** A file that is all ours. With `isOthersFine` one that somebody else wrote does as well. */
  created(path: string, text: string, { isOthersFine = false } = {}): void {
    const place = this.#root.locate(path);
    const found = look(place);
    if (found.kind === "file" && found.bytes.equals(Buffer.from(text))) return;
    if (found.kind !== "nothing" && !this.#isOurs(path, found)) {
      if (!isOthersFine)
        this.kept.push({ path, reason: reasonToKeep(found, this.#files.get(path)) });
      return;
    }
    this.#add({
      kind: "write",
      path,
      place,
      before: found.kind === "file" ? found.bytes.toString() : undefined,
      text,
      mode: 0o644,
      record: { kind: "created", path, sha256: sha256OfBytes(text) },
    });
  }

  edited(
    path: string,
    edit: { before: string | undefined; text: string; undo: readonly TomlUndo[] },
  ): void {
    const { before, text } = edit;
    const earlier = this.#files.get(path);
    const recorded = earlier?.kind === "edited" ? earlier : undefined;
    const isAsWeLeftIt = recorded?.sha256 === sha256OfBytes(before ?? "");
    // Killed between the list and the file, an earlier run has changed nothing.
    const isUntouched = recorded === undefined || recorded.before === (before ?? "");
    this.#add({
      kind: "write",
      path,
      place: realFile(this.#root.locate(path)),
      before,
      text,
      mode: 0o644,
      record: {
        kind: "edited",
        path,
        sha256: sha256OfBytes(text),
        before: isUntouched ? (before ?? "") : isAsWeLeftIt ? recorded.before : undefined,
        isNew: isUntouched ? (before === undefined ? true : undefined) : recorded.isNew,
        undo: isUntouched ? edit.undo : [...recorded.undo, ...edit.undo],
      },
    });
  }

  link(path: string, target: string): void {
    const place = this.#root.locate(path);
    const found = look(place);
    if (found.kind === "link" && found.target === target) return;
    if (found.kind !== "nothing" && !this.#isOurs(path, found)) {
      this.kept.push({ path, reason: "is there already, and is not ours" });
      return;
    }
    this.#add({ kind: "link", path, place, target, record: { kind: "link", path, target } });
  }

  /** Of a file that is ours only in part; `undefined` when there is none. */
  textAt(path: string): string | undefined {
    const found = look(realFile(this.#root.locate(path)));
    return found.kind === "file" ? found.bytes.toString() : undefined;
  }

  #isOurs(path: string, found: Found): boolean {
    const recorded = this.#files.get(path);
    if (recorded?.kind === "link") return found.kind === "link" && found.target === recorded.target;
    return (
      recorded?.kind === "created" &&
      found.kind === "file" &&
      sha256OfBytes(found.bytes) === recorded.sha256
    );
  }

  #add(change: PlannedChange): void {
    this.changes.push(change);
    this.#files.set(change.path, change.record);
  }
}

function reasonToKeep(found: Found, recorded: InstalledFile | undefined): string {
  if (found.kind === "link") return `is a link to ${found.target}`;
  if (found.kind === "other") return "is no regular file";
  return recorded === undefined
    ? "was not written by sociable install"
    : "has been changed since it was installed";
}
