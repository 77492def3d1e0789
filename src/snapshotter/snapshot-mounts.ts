import type { Mount } from "../containerd/api/mount.ts";

export interface SnapshotMountOptions {
  readonly kind: "active" | "view";
  /** Of an active snapshot. */
  readonly upper: string;
  readonly work: string;
  /** Directories below it, the newest first. */
  readonly lowers: readonly string[];
  /** More options, as `userxattr`; also of binds of what is below, as `uidmap=…`. */
  readonly overlayOptions: readonly string[];
  readonly bindOptions: readonly string[];
}

/** What containerd mounts for a snapshot: one overlay, or one bind where a directory is all there is. */
export function snapshotMounts(options: SnapshotMountOptions): readonly Mount[] {
  const { kind, upper, work, lowers, overlayOptions, bindOptions } = options;
  const [newest, ...older] = lowers;
  if (newest === undefined) return [bind(upper, kind === "view" ? "ro" : "rw")];
  if (kind === "view" && older.length === 0) return [bind(newest, "ro", bindOptions)];
  const writable =
    kind === "view" ? [] : [`workdir=${escapeOption(work)}`, `upperdir=${escapeOption(upper)}`];
  const lowerdir = `lowerdir=${lowers.map(escapeLower).join(":")}`;
  return [
    {
      type: "overlay",
      source: "overlay",
      target: "",
      options: [...writable, lowerdir, ...overlayOptions],
    },
  ];
}

function bind(source: string, access: "ro" | "rw", more: readonly string[] = []): Mount {
  return { type: "bind", source, target: "", options: [access, "rbind", ...more] };
}

// Documentation/filesystems/overlayfs.rst: a backslash before what separates options and layers.
function escapeOption(path: string): string {
  return path.replace(/[\\,]/g, "\\$&");
}

function escapeLower(path: string): string {
  return path.replace(/[\\,:]/g, "\\$&");
}
