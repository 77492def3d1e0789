import { statSync } from "node:fs";
import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, Digester, isDigest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { parseLayoutIndex } from "../oci/layout-index.ts";
import { readSmallFile } from "../oci/layout-files.ts";
import { LAYER_DIGEST_ANNOTATION, PREFETCH_MEDIA_TYPE, ZTOC_MEDIA_TYPE } from "./annotations.ts";
import type { Artifact } from "./artifact.ts";
import { entryOfOrigin, type IndexOrigin, originOfEntry } from "./index-origin.ts";
import {
  LOCAL_STORE_DATABASE,
  type LocalStore,
  type LocalStoreOptions,
  openLocalStore,
} from "./local-store.ts";
import {
  artifactTypeOfVersion,
  decodeSociIndex,
  type SociIndex,
  sociIndexDescriptor,
  ztocReferences,
} from "./soci-index.ts";

export interface RebuiltDatabase {
  /** Artifacts that were not listed, or not for this layer. */
  readonly added: readonly Digest[];
  /** Artifacts that were listed and of which the bytes are gone. */
  readonly removed: readonly Digest[];
  /** Artifacts whose bytes were not theirs any more: they were removed. */
  readonly damaged: readonly Digest[];
  /** v2 SOCI indexes of which nothing says what image they are of: they stay unlisted. */
  readonly unknown: readonly Digest[];
}

const BLOB_NAME = /^[0-9a-f]{64}$/;
const MIN_INDEX_BYTES = 10;
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/**
 * Opens a local store to list its content again. A database or index.json that is damaged is put aside
 * under another name. @throws as openLocalStore() does otherwise
 */
export async function openDamagedStore(options: LocalStoreOptions): Promise<LocalStore> {
  try {
    return await openLocalStore(options);
  } catch (error) {
    if (!isKind(error, "data-loss")) throw error;
  }
  const { root } = options;
  const suffix = `damaged-${new Date().toISOString().replace(/[:.]/g, "")}`;
  const index = join(root, "content", "index.json");
  if (!(await isLayoutIndex(index))) await moveIfThere(index, `${index}.${suffix}`);
  try {
    return await openLocalStore(options);
  } catch (error) {
    if (!isKind(error, "data-loss")) throw error;
  }
  for (const ending of ["", "-wal", "-shm"]) {
    const path = join(root, `${LOCAL_STORE_DATABASE}${ending}`);
    await moveIfThere(path, `${path}.${suffix}`);
  }
  return await openLocalStore(options);
}

/**
 * Makes the list of a local store agree with its content: rows without bytes go, damaged bytes go with
 * their rows, and every SOCI index of either version that is found is listed again with the zTOCs and prefetch
 * artifacts it names. What is listed and there stays as it is listed.
 */
export async function rebuildDatabase(
  store: LocalStore,
  { signal }: WaitOptions = {},
): Promise<RebuiltDatabase> {
  const { artifacts, content } = store;
  const removed = artifacts.prune(({ digest, size }) => sizeOf(content.blobPath(digest)) === size);
  const work: Rebuilding = {
    store,
    entries: (await content.readIndex()).manifests,
    added: new Set(),
    damaged: await removeDamaged(store, { signal }),
    unknown: [],
    signal,
  };
  for await (const found of findIndexes(store, work)) {
    await listIndex(found, work);
    await listLayers(found, work);
  }
  const { added, damaged, unknown } = work;
  return { added: [...added], removed, damaged: [...damaged], unknown };
}

interface Rebuilding extends WaitOptions {
  readonly store: LocalStore;
  /** Of index.json, before. */
  readonly entries: readonly Descriptor[];
  readonly added: Set<Digest>;
  readonly damaged: Set<Digest>;
  readonly unknown: Digest[];
}

async function listIndex(
  { index, descriptor, createdAt }: FoundIndex,
  { store, entries, added, unknown, signal }: Rebuilding,
): Promise<void> {
  const listed = store.artifacts.get(descriptor.digest);
  const entry = entries.find(({ digest }) => digest === descriptor.digest);
  const origin = listed === undefined ? originOf(index, entry) : originOfRow(listed);
  if (origin === undefined) unknown.push(descriptor.digest);
  else if (listed === undefined && store.list(indexRow(descriptor, { index, origin, createdAt }))) {
    added.add(descriptor.digest);
  }
  const isEntryWhole = entry !== undefined && originOfEntry(entry) !== undefined;
  if (entry === undefined || (!isEntryWhole && origin !== undefined)) {
    const again = origin === undefined ? descriptor : entryOfOrigin(descriptor, origin);
    await store.content.addToIndex(again, { signal });
  }
}

async function listLayers(
  { index, createdAt }: FoundIndex,
  { store, added, damaged, signal }: Rebuilding,
): Promise<void> {
  const { artifacts, content } = store;
  for (const row of layerRows(index)) {
    const { digest, size } = row;
    if (sizeOf(content.blobPath(digest)) !== size || artifacts.has(digest, row.ociDigest)) continue;
    if (!(await isWhole(store, digest, { signal }))) {
      await store.remove(digest, { signal });
      damaged.add(digest);
    } else if (store.list({ ...row, createdAt })) added.add(digest);
  }
}

async function removeDamaged(store: LocalStore, options: WaitOptions): Promise<Set<Digest>> {
  const damaged = new Set<Digest>();
  for (const digest of new Set(store.artifacts.listAll().map((artifact) => artifact.digest))) {
    if (await isWhole(store, digest, options)) continue;
    await store.remove(digest, options);
    damaged.add(digest);
  }
  return damaged;
}

async function isWhole(
  store: LocalStore,
  digest: Digest,
  { signal }: WaitOptions,
): Promise<boolean> {
  const digester = new Digester();
  try {
    for await (const chunk of store.openBlob(digest)) {
      signal?.throwIfAborted();
      digester.update(chunk);
    }
  } catch (error) {
    // Somebody has removed it meanwhile: nothing is wrong with it.
    if (isErrno(error, "ENOENT")) return true;
    throw error;
  }
  return digester.digest() === digest;
}

interface FoundIndex {
  readonly index: SociIndex;
  readonly descriptor: Descriptor;
  /** When its bytes were written. */
  readonly createdAt: number;
}

/** Every blob that is a SOCI index. One that looks like a document and is damaged is removed. */
async function* findIndexes(
  store: LocalStore,
  { damaged, signal }: WaitOptions & { readonly damaged: Set<Digest> },
): AsyncGenerator<FoundIndex> {
  const directory = join(store.content.dir, "blobs", "sha256");
  for (const name of (await readdir(directory)).toSorted()) {
    signal?.throwIfAborted();
    const digest = `sha256:${name}`;
    if (!BLOB_NAME.test(name) || !isDigest(digest)) continue;
    const found = await stat(join(directory, name)).catch((error: unknown) => {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    });
    if (found === undefined || !found.isFile()) continue;
    if (found.size < MIN_INDEX_BYTES || found.size > MAX_INDEX_BYTES) continue;
    const index = await readIndex(store, digest, { damaged, signal });
    if (index !== undefined) yield { ...index, createdAt: Math.floor(found.mtimeMs) };
  }
}

async function readIndex(
  store: LocalStore,
  digest: Digest,
  { damaged, signal }: WaitOptions & { readonly damaged: Set<Digest> },
): Promise<Omit<FoundIndex, "createdAt"> | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await store.readIndexBytes(digest);
  } catch (error) {
    if (isKind(error, "not-found")) return undefined;
    if (!isKind(error, "data-loss")) throw error;
    // Under its name it is of no use to anybody.
    await store.remove(digest, { signal });
    damaged.add(digest);
    return undefined;
  }
  try {
    const index = decodeSociIndex(bytes);
    return { index, descriptor: sociIndexDescriptor(bytes, index.version) };
  } catch (error) {
    // A zTOC, or some other document.
    if (isKind(error, "data-loss", "unsupported")) return undefined;
    throw error;
  }
}

function originOf({ subject }: SociIndex, entry: Descriptor | undefined): IndexOrigin | undefined {
  const said = entry && originOfEntry(entry);
  if (subject === undefined || said?.imageManifest === subject.digest) return said;
  return {
    imageManifest: subject.digest,
    imageDigest: subject.digest,
    platform: "",
    imageName: "",
  };
}

function originOfRow({ ociDigest, imageDigest, platform, imageName }: Artifact): IndexOrigin {
  return {
    imageManifest: ociDigest,
    imageDigest: imageDigest === "" ? ociDigest : imageDigest,
    platform,
    imageName,
  };
}

function indexRow(
  { digest, size, mediaType }: Descriptor,
  {
    index,
    origin,
    createdAt,
  }: { readonly index: SociIndex; readonly origin: IndexOrigin; readonly createdAt: number },
): Artifact {
  return {
    digest,
    type: "soci_index",
    size,
    spanSize: 0,
    ociDigest: origin.imageManifest,
    imageDigest: origin.imageDigest,
    platform: origin.platform,
    location: origin.imageManifest,
    mediaType,
    artifactType: artifactTypeOfVersion(index.version),
    createdAt,
    imageName: origin.imageName,
  };
}

/** The rows of what an index names for its layers. */
function layerRows(index: SociIndex): readonly Omit<Artifact, "createdAt">[] {
  const common = { imageDigest: "", platform: "", artifactType: "", imageName: "" } as const;
  const ztocs = ztocReferences(index).map(({ descriptor, layer, spanSize = 0 }) => ({
    ...common,
    digest: descriptor.digest,
    size: descriptor.size,
    type: "soci_layer" as const,
    spanSize,
    ociDigest: layer,
    location: layer,
    mediaType: ZTOC_MEDIA_TYPE,
  }));
  const prefetch = index.blobs.flatMap(({ digest, size, mediaType, annotations }) => {
    const layer = annotations?.[LAYER_DIGEST_ANNOTATION] ?? "";
    if (mediaType !== PREFETCH_MEDIA_TYPE || !isDigest(layer)) return [];
    const type = "soci_prefetch" as const;
    return [
      { ...common, digest, size, type, spanSize: 0, ociDigest: layer, location: layer, mediaType },
    ];
  });
  return [...ztocs, ...prefetch];
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

async function isLayoutIndex(path: string): Promise<boolean> {
  try {
    const bytes = await readSmallFile(path);
    if (bytes !== undefined) parseLayoutIndex(bytes, path);
    return true;
  } catch (error) {
    if (isKind(error, "data-loss", "unsupported")) return false;
    throw error;
  }
}

async function moveIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
