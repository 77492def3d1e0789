import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  utimesSync,
} from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { ownProcess } from "../oci/process-id.ts";
import { ingestDirectory, layerDirectory, type LayerPaths, layerPaths } from "./cache-paths.ts";
import { DraftCrcs } from "./draft-crcs.ts";
import { type LayerKey, layerOfKey } from "./layer-key.ts";
import { LayerGeometry } from "./layer-geometry.ts";
import { emptyMap, identityOf, writeMap } from "./open-layer-data.ts";
import { createFile } from "./new-file.ts";
import { pwriteWhole } from "./pwrite-whole.ts";
import { tableTrailer } from "./table-file.ts";
import { markUnsynced } from "./unsynced-mark.ts";

/** What a layer consists of beside its data. */
export interface LayerParts {
  /** As geometryOf(), geometryChunks() or wholeGeometry() make it. */
  readonly geometry: Iterable<Uint8Array>;
  readonly entries: Uint8Array;
  readonly inodes: Uint8Array;
}

/** The mtime of a lock file whose layer nobody has opened yet. */
export const NEVER_OPENED = 0;

const { O_RDWR, O_CREAT, O_EXCL } = constants;

/**
 * A layer in the making, seen by nobody: in any thread, by paths alone. With no bytes appended it
 * becomes a layer of which nothing is there yet, else one that is there whole. Disposing without
 * commit() removes it; so does the next process when this one is killed.
 */
export class LayerDraft implements AsyncDisposable {
  readonly #cacheRoot: string;
  readonly #digest: Digest;
  readonly #key: LayerKey;
  readonly #paths: LayerPaths;
  readonly #dataFd: number;
  readonly #crcs = new DraftCrcs();
  #isOpen = true;
  #size = 0;

  private constructor(cacheRoot: string, key: LayerKey, paths: LayerPaths) {
    this.#cacheRoot = cacheRoot;
    this.#digest = layerOfKey(key);
    this.#key = key;
    this.#paths = paths;
    this.#dataFd = openSync(paths.data, O_RDWR | O_CREAT | O_EXCL, 0o600);
  }

  static async create(cacheRoot: string, key: LayerKey): Promise<LayerDraft> {
    const directory = join(ingestDirectory(cacheRoot), `${await ownProcess()}.${randomUUID()}`);
    await mkdir(ingestDirectory(cacheRoot), { recursive: true, mode: 0o700 });
    await mkdir(directory, { mode: 0o700 });
    return new LayerDraft(cacheRoot, key, layerPaths(directory));
  }

  /** Bytes appended so far. */
  get size(): number {
    return this.#size;
  }

  /** Takes the next uncompressed bytes; their memory may be reused. @throws failed-precondition when the disk is full */
  append(bytes: Uint8Array): void {
    if (!pwriteWhole(this.#dataFd, bytes, this.#size)) {
      throw new SociError(
        "failed-precondition",
        `Cannot keep layer ${this.#digest} in the cache: no room on disk behind ${this.#size} bytes`,
        { hint: "Free some room, or move the state directory with --root" },
      );
    }
    this.#size += bytes.length;
    this.#crcs.push(bytes);
  }

  /** A span begins with the next byte. Needed at no span, but CRCs of others are made in a second pass. */
  cut(): void {
    this.#crcs.cut();
  }

  /**
   * Makes it a layer of the cache, in one step. "exists": another process was faster, and its layer is
   * as good. What was appended counts as verified. @throws data-loss when the parts do not fit
   */
  async commit({ geometry: chunks, entries, inodes }: LayerParts): Promise<"created" | "exists"> {
    const paths = this.#paths;
    // Without waiting between: all of it goes into memory, 20 µs a step.
    const geometry = this.#writeGeometry(chunks);
    createFile(paths.entries, [entries, tableTrailer(entries)]);
    createFile(paths.inodes, [inodes, tableTrailer(inodes)]);
    createFile(paths.lock, []);
    utimesSync(paths.lock, NEVER_OPENED, NEVER_OPENED);
    this.#writeMap(geometry);
    markUnsynced(paths.directory);
    const target = layerDirectory(this.#cacheRoot, this.#key);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    try {
      renameSync(paths.directory, target);
      return "created";
    } catch (error) {
      if (isErrno(error, "ENOTEMPTY", "EEXIST")) return "exists";
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#dataFd);
    await rm(this.#paths.directory, { recursive: true, force: true });
  }

  #writeGeometry(chunks: Iterable<Uint8Array>): LayerGeometry {
    createFile(this.#paths.geometry, chunks);
    const fd = openSync(this.#paths.geometry, "r");
    try {
      return LayerGeometry.read(fd, fstatSync(fd).size);
    } finally {
      closeSync(fd);
    }
  }

  #writeMap(geometry: LayerGeometry): void {
    const map = emptyMap(geometry);
    if (this.#size > 0) {
      if (this.#size < geometry.dataSize) {
        throw new SociError(
          "data-loss",
          `Cannot keep layer ${this.#digest} in the cache: it has ${this.#size} bytes, want ${geometry.dataSize}`,
        );
      }
      this.#crcs.end();
      this.#crcs.fillTable(map.crcs, geometry, this.#dataFd);
      map.presence.fill(1);
    }
    sizeData(this.#dataFd, geometry.dataSize, this.#digest);
    closeSync(writeMap(this.#paths, geometry, identityOf(this.#dataFd, geometry), map));
  }
}

function sizeData(fd: number, size: number, digest: Digest): void {
  try {
    ftruncateSync(fd, size);
  } catch (cause) {
    throw new SociError(
      "failed-precondition",
      `Cannot keep layer ${digest} in the cache: the file system has no files of ${size} bytes`,
      { cause },
    );
  }
}
