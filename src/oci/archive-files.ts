import { type FileHandle, open } from "node:fs/promises";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { TarEntry } from "../tar/tar-entry.ts";
import { TarScanner } from "../tar/tar-scanner.ts";
import type { FileSlice } from "./file-slice.ts";
import type { LayoutFiles } from "./layout-files.ts";

interface FileMember {
  readonly kind: "file";
  readonly start: number;
  readonly size: number;
  readonly sparse: boolean;
}

interface LinkMember {
  readonly kind: "link";
  /** The member it stands for, cleaned. */
  readonly target: string;
}

const WINDOW_BYTES = 16 * 1024;
const ZEROS = new Uint8Array(1024 * 1024);
const MAX_MEMBERS = 200_000;
const MAX_LINKS = 40;

const TYPE_HARDLINK = 0x31;
const TYPE_SYMLINK = 0x32;
const REGULAR = new Set([0x30, 0x37, 0x53]);

/**
 * The members of a tar archive, read in place: only its headers are read to find them. Names are
 * nothing but keys, so that none can lead outside; of equal names the last counts, and links lead to
 * other members. Disposing closes the archive.
 */
export class ArchiveFiles implements LayoutFiles {
  readonly place: string;
  readonly #handle: FileHandle;
  readonly #members: ReadonlyMap<string, FileMember | LinkMember>;
  #open = true;

  private constructor(
    place: string,
    handle: FileHandle,
    members: ReadonlyMap<string, FileMember | LinkMember>,
  ) {
    this.place = place;
    this.#handle = handle;
    this.#members = members;
  }

  /** @throws not-found, unsupported for a compressed archive, data-loss for a damaged one */
  static async open(path: string, options: WaitOptions = {}): Promise<ArchiveFiles> {
    const handle = await openFile(path);
    try {
      return new ArchiveFiles(path, handle, await readMembers(handle, path, options));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async open(path: string): Promise<(FileSlice & AsyncDisposable) | undefined> {
    const member = this.#resolve(path);
    if (member === undefined) {
      return undefined;
    }
    const name = `"${path}" in "${this.place}"`;
    if (member.sparse) {
      throw new SociError("unsupported", `Cannot read ${name}: it is a sparse file`);
    }
    const { start, size } = member;
    return {
      handle: this.#handle,
      name,
      start,
      size,
      // The handle is the archive's.
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) {
      this.#open = false;
      await this.#handle.close();
    }
  }

  #resolve(path: string): FileMember | undefined {
    let key = cleanName(path);
    for (let links = 0; links < MAX_LINKS; links++) {
      const member = this.#members.get(key);
      if (member?.kind !== "link") {
        return member;
      }
      key = member.target;
    }
    throw new SociError(
      "data-loss",
      `Cannot read "${path}" in "${this.place}": it is behind more than ${MAX_LINKS} links`,
    );
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new SociError(isAbsent ? "not-found" : "failed-precondition", `Cannot open "${path}"`, {
      cause,
    });
  }
}

async function readMembers(
  handle: FileHandle,
  path: string,
  { signal }: WaitOptions,
): Promise<ReadonlyMap<string, FileMember | LinkMember>> {
  const members = new Map<string, FileMember | LinkMember>();
  let bodyEnd = 0;
  const scanner = new TarScanner({
    onEntry: (entry) => {
      bodyEnd = entry.dataStart + entry.storedSize;
      addMember(members, entry, path);
    },
  });
  const { size } = await handle.stat();
  const window = new Uint8Array(WINDOW_BYTES);
  try {
    for (let at = 0; at < size && !scanner.done;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(window, 0, window.length, at);
      if (bytesRead === 0) {
        break;
      }
      const chunk = window.subarray(0, bytesRead);
      if (at === 0) {
        refuseCompressed(chunk, path);
      }
      scanner.push(chunk);
      at += bytesRead;
      // The scanner passes over bodies whatever they hold: they need not be read.
      for (; at < Math.min(bodyEnd, size);) {
        const skipped = Math.min(ZEROS.length, Math.min(bodyEnd, size) - at);
        scanner.push(ZEROS.subarray(0, skipped));
        at += skipped;
      }
    }
    scanner.finish();
  } catch (cause) {
    if (cause instanceof SociError && cause.kind === "data-loss") {
      throw new SociError("data-loss", `Cannot read archive "${path}"`, { cause });
    }
    throw cause;
  }
  return members;
}

function addMember(
  members: Map<string, FileMember | LinkMember>,
  entry: TarEntry,
  path: string,
): void {
  if (members.size >= MAX_MEMBERS) {
    throw new SociError(
      "unsupported",
      `Cannot read archive "${path}": it has more than ${MAX_MEMBERS} members`,
    );
  }
  const name = new TextDecoder().decode(entry.name);
  const linkname = new TextDecoder().decode(entry.linkname);
  if (REGULAR.has(entry.typeflag)) {
    const { dataStart: start, storedSize: size, sparse } = entry;
    members.set(cleanName(name), { kind: "file", start, size, sparse });
  } else if (entry.typeflag === TYPE_HARDLINK) {
    members.set(cleanName(name), { kind: "link", target: cleanName(linkname) });
  } else if (entry.typeflag === TYPE_SYMLINK) {
    const target = linkname.startsWith("/") ? linkname : `${name}/../${linkname}`;
    members.set(cleanName(name), { kind: "link", target: cleanName(target) });
  }
}

/** A member's name without `.`, `..` and doubled slashes; `..` stops at the root. */
function cleanName(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== "" && part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}

function refuseCompressed(start: Uint8Array, path: string): void {
  const isGzip = start[0] === 0x1f && start[1] === 0x8b;
  const isZstd = start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd;
  if (isGzip || isZstd) {
    throw new SociError(
      "unsupported",
      `Cannot read archive "${path}": it is compressed with ${isGzip ? "gzip" : "zstd"}, want a plain tar`,
      { hint: "Decompress it first" },
    );
  }
}
