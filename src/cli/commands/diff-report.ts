import type { Aspect, FileDifference } from "../../image/diff-trees.ts";
import type { Attributes } from "../../tree/attributes.ts";
import { type ByteName, bytesOfName } from "../../tree/byte-name.ts";
import { formatByteSize } from "../byte-size.ts";
import type { Paint, Style } from "../colors.ts";
import { isoTime, jsonName, modeOf } from "../format-listing.ts";
import { safeBytes } from "../safe-text.ts";

/** How many files fared how, and how many bytes they have. */
export class DiffTally {
  added = 0;
  removed = 0;
  changed = 0;
  /** Look the same, but lie in different layers. */
  unverified = 0;
  same = 0;
  addedBytes = 0;
  removedBytes = 0;
  /** Bytes of changed files before and after. */
  changedFromBytes = 0;
  changedToBytes = 0;

  get isDifferent(): boolean {
    return this.added + this.removed + this.changed > 0;
  }

  count(difference: FileDifference): void {
    this[difference.kind]++;
    if (difference.kind === "added") this.addedBytes += sizeOf(difference.after);
    else if (difference.kind === "removed") this.removedBytes += sizeOf(difference.before);
    else if (difference.kind === "changed") {
      this.changedFromBytes += sizeOf(difference.before);
      this.changedToBytes += sizeOf(difference.after);
    }
  }

  toJson(): Readonly<Record<string, number>> {
    const { added, removed, changed, unverified, same } = this;
    const { addedBytes, removedBytes, changedFromBytes, changedToBytes } = this;
    const bytes = { addedBytes, removedBytes, changedFromBytes, changedToBytes };
    return { added, removed, changed, unverified, same, ...bytes };
  }
}

const SIGNS: Readonly<Record<FileDifference["kind"], readonly [string, Style]>> = {
  added: ["+", "green"],
  removed: ["-", "red"],
  changed: ["~", "yellow"],
  unverified: ["?", "dim"],
  same: ["=", "dim"],
};

/** One line, fit for a terminal: `~ /etc/motd  size 12 B -> 14 B, mtime`. */
export function formatDifference(difference: FileDifference, paint: Paint): string {
  const [sign, style] = SIGNS[difference.kind];
  const shown = paint(style, `${sign} ${shownPath(difference)}`);
  const detail = detailOf(difference);
  return `${shown}${detail === "" ? "" : `  ${detail}`}\n`;
}

export function formatTally(tally: DiffTally): string {
  if (!tally.isDifferent && tally.unverified === 0) return `No difference in ${tally.same} files\n`;
  const { added, removed, changed, unverified, same } = tally;
  const parts = [
    `${added} added (${formatByteSize(tally.addedBytes)})`,
    `${removed} removed (${formatByteSize(tally.removedBytes)})`,
    `${changed} changed (${formatByteSize(tally.changedFromBytes)} -> ${formatByteSize(tally.changedToBytes)})`,
    `${same} the same`,
  ];
  if (unverified > 0) {
    parts.push(`${unverified} that look the same but lie in different layers, not compared`);
  }
  return `${parts.join(", ")}\n`;
}

/** For --json: `before` and `after` hold what is known of the file then. */
export function jsonOfDifference(difference: FileDifference): Record<string, unknown> {
  const { kind, path } = difference;
  return {
    kind,
    ...jsonName("path", `/${path}` as ByteName),
    ...(kind === "changed" ? { aspects: difference.aspects } : {}),
    ...("before" in difference ? { before: jsonOf(difference.before) } : {}),
    ...("after" in difference ? { after: jsonOf(difference.after) } : {}),
  };
}

function jsonOf(attributes: Attributes): Record<string, unknown> {
  const { type, mode, uid, gid, size, target, devmajor, devminor, xattrs } = attributes;
  return {
    type,
    mode: mode.toString(8).padStart(4, "0"),
    uid,
    gid,
    size,
    mtime: isoTime(attributes),
    ...(type === "symlink" ? jsonName("target", target) : {}),
    ...(type === "char" || type === "block" ? { devmajor, devminor } : {}),
    ...(xattrs.length === 0
      ? {}
      : {
          xattrs: xattrs.map(({ name, value }) => ({
            ...jsonName("name", name),
            valueBase64: Buffer.from(value).toString("base64"),
          })),
        }),
  };
}

function sizeOf({ type, size }: Attributes): number {
  return type === "reg" ? size : 0;
}

/** With a slash at the end of a directory's. */
function shownPath(difference: FileDifference): string {
  const { type } = "after" in difference ? difference.after : difference.before;
  const path = `/${safeBytes(bytesOfName(difference.path))}`;
  return type === "dir" && path !== "/" ? `${path}/` : path;
}

function detailOf(difference: FileDifference): string {
  switch (difference.kind) {
    case "added":
      return contentOf(difference.after);
    case "removed":
      return contentOf(difference.before);
    case "changed": {
      const { before, after, aspects } = difference;
      return aspects.map((aspect) => ASPECT_TEXTS[aspect](before, after)).join(", ");
    }
    default:
      return "";
  }
}

function contentOf({ type, size, target }: Attributes): string {
  if (type === "reg") return formatByteSize(size);
  return type === "symlink" ? `-> ${shownName(target)}` : "";
}

function shownName(name: ByteName): string {
  return safeBytes(bytesOfName(name));
}

const ASPECT_TEXTS: Readonly<Record<Aspect, (before: Attributes, after: Attributes) => string>> = {
  type: (before, after) => `type ${before.type} -> ${after.type}`,
  content: (before, after) => `size ${before.size} -> ${after.size}`,
  target: (before, after) => `target ${shownName(before.target)} -> ${shownName(after.target)}`,
  device: (before, after) =>
    `device ${before.devmajor}, ${before.devminor} -> ${after.devmajor}, ${after.devminor}`,
  mode: (before, after) => `mode ${modeOf(before)} -> ${modeOf(after)}`,
  owner: (before, after) => `owner ${before.uid}:${before.gid} -> ${after.uid}:${after.gid}`,
  mtime: (before, after) => `mtime ${shownTime(before)} -> ${shownTime(after)}`,
  xattrs: (before, after) => `xattrs ${xattrChanges(before, after)}`,
};

function shownTime(attributes: Attributes): string {
  return isoTime(attributes).replace("T", " ").replace("Z", "");
}

/** Their names with a sign: a value may be anything. */
function xattrChanges({ xattrs: before }: Attributes, { xattrs: after }: Attributes): string {
  const old = new Map(before.map(({ name, value }) => [name, value]));
  const now = new Map(after.map(({ name, value }) => [name, value]));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names
    .flatMap((name) => {
      const [was, is] = [old.get(name), now.get(name)];
      if (was === undefined) return [`+${shownName(name)}`];
      if (is === undefined) return [`-${shownName(name)}`];
      return Buffer.from(was).equals(is) ? [] : [`~${shownName(name)}`];
    })
    .join(" ");
}
