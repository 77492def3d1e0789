import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";

/** What lies at a path. */
export type Found =
  | { readonly kind: "nothing" }
  | { readonly kind: "file"; readonly bytes: Buffer; readonly mode: number }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "other" };

const MAX_BYTES = 4 << 20;

/** @throws failed-precondition for a file that is too large or cannot be read */
export function look(path: string): Found {
  const stats = lstatOf(path);
  if (stats === undefined) return { kind: "nothing" };
  if (stats.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
  if (!stats.isFile()) return { kind: "other" };
  if (stats.size > MAX_BYTES) {
    throw new SociError(
      "failed-precondition",
      `Cannot read "${path}": it has ${stats.size} bytes, want at most ${MAX_BYTES}`,
    );
  }
  return attempt(`read "${path}"`, () => ({
    kind: "file",
    bytes: readFileSync(path),
    mode: stats.mode & 0o7777,
  }));
}

/** The file that a link stands for, so that the link stays; the path itself where it is none. */
export function realFile(path: string): string {
  const stats = lstatOf(path);
  return stats?.isSymbolicLink() === true
    ? attempt(`follow "${path}"`, () => realpathSync(path))
    : path;
}

export interface PutOptions {
  /** Of a new file; one that is replaced hands its mode and owner on. */
  readonly mode: number;
}

/** Writes a file whole or not at all: whoever reads it sees the old one or the new one. */
export function putFile(path: string, bytes: Uint8Array, { mode }: PutOptions): void {
  attempt(`write "${path}"`, () => {
    replace(path, (beside) => {
      const before = lstatOf(path);
      const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
      const fd = openSync(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        writeFileSync(fd, bytes);
        if (before?.isFile() === true) fchownSync(fd, before.uid, before.gid);
        fchmodSync(fd, before?.isFile() === true ? before.mode & 0o7777 : mode);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
    syncDirectory(dirname(path));
  });
}

/** Makes a symbolic link, or turns one around. */
export function putLink(path: string, target: string): void {
  attempt(`make the link "${path}"`, () => {
    replace(path, (beside) => symlinkSync(target, beside));
    syncDirectory(dirname(path));
  });
}

/** Puts a file there that `make` makes beside it. */
export function putWith(path: string, make: (beside: string) => void): void {
  attempt(`write "${path}"`, () => {
    replace(path, make);
    syncDirectory(dirname(path));
  });
}

/** A second name for a file that is about to be replaced. */
export function keepBeside(path: string, name: string): void {
  attempt(`keep "${path}"`, () => {
    replace(join(dirname(path), name), (beside) => linkSync(path, beside));
  });
}

export function moveFile(from: string, to: string): void {
  attempt(`move "${from}"`, () => {
    renameSync(from, to);
    syncDirectory(dirname(to));
  });
}

/** Removes a file or a link; fine when it is not there. */
export function removeFile(path: string): void {
  attempt(`remove "${path}"`, () => rmSync(path, { force: true }));
}

/** Makes a directory and those above it; tells which were not there, the topmost first. */
export function makeDirectories(path: string): readonly string[] {
  const missing: string[] = [];
  for (let at = path; lstatOf(at) === undefined; at = dirname(at)) missing.unshift(at);
  attempt(`make the directory "${path}"`, () => {
    // Not those of this process's umask: others look for the program and the units in there.
    for (const directory of missing) mkdirSync(directory, { mode: 0o755 });
  });
  return missing;
}

export function lstatOf(path: string): Stats | undefined {
  return attempt(`look at "${path}"`, () => {
    try {
      return lstatSync(path, { throwIfNoEntry: false });
    } catch (error) {
      if (isErrno(error, "ENOTDIR")) return undefined;
      throw error;
    }
  });
}

/** Makes something beside a path and puts it there in one step. */
function replace(path: string, make: (beside: string) => void): void {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    make(beside);
    renameSync(beside, path);
  } finally {
    // Of a link(2) to the same file rename(2) leaves both names.
    rmSync(beside, { force: true });
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** @throws permission-denied or failed-precondition for what the system refuses */
export function attempt<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (cause instanceof SociError) throw cause;
    if (isErrno(cause, "EACCES", "EPERM", "EROFS")) {
      throw new SociError("permission-denied", `Cannot ${what}`, {
        cause,
        hint: "Run it as root, or below another directory with --root-dir",
      });
    }
    throw new SociError("failed-precondition", `Cannot ${what}`, { cause });
  }
}
