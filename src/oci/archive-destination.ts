import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { paddingOf } from "../tar/tar-block.ts";
import { archiveHeader, type ArchiveMember } from "./archive-header.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, hexOf } from "./digest.ts";
import { DurableFile } from "./durable-file.ts";
import { fileChunks } from "./file-chunks.ts";
import type { ImageDestination } from "./image-destination.ts";
import { OCI_LAYOUT_FILE } from "./layout-files.ts";
import { REF_NAME } from "./layout-index.ts";
import type { LayoutWriter } from "./layout-writer.ts";
import { OCI_INDEX } from "./media-types.ts";
import { TemporaryStage } from "./temporary-stage.ts";
import type { BlobOpener } from "./upload-source.ts";
import { verifyStream } from "./verified-stream.ts";

export interface ArchiveDestinationOptions {
  /** As the user named it. */
  readonly name: string;
  /** Replaced when it is there. */
  readonly file: string;
  /** The image's name in the archive; without it, the image has none there. */
  readonly tag?: string | undefined;
  /** Whether the image comes from far away: blobs are then kept beside the archive until it is written. */
  readonly isRemote?: boolean;
}

interface Member {
  readonly blob: Descriptor;
  readonly open: BlobOpener;
}

const END_OF_ARCHIVE = new Uint8Array(1024);

/**
 * An OCI archive: a tar of a layout, the members in the order of their names, the same bytes for the same
 * image. The file appears whole, or not at all.
 */
export class ArchiveDestination implements ImageDestination {
  readonly name: string;
  readonly isSourcePlace = false;
  readonly stage: LayoutWriter | undefined;
  readonly #file: string;
  readonly #tag: string | undefined;
  readonly #temporary: TemporaryStage;
  readonly #members = new Map<Digest, Member>();

  private constructor(
    { name, file, tag }: ArchiveDestinationOptions,
    temporary: TemporaryStage,
    stage: LayoutWriter | undefined,
  ) {
    this.name = name;
    this.stage = stage;
    this.#file = file;
    this.#tag = tag;
    this.#temporary = temporary;
  }

  /** @throws failed-precondition when the archive cannot be written there */
  static async open(options: ArchiveDestinationOptions): Promise<ArchiveDestination> {
    const file = resolve(options.file);
    const existing = await stat(file).catch(() => undefined);
    if (existing !== undefined && !existing.isFile()) {
      throw new SociError("failed-precondition", `Cannot write "${file}": it is no file`, {
        hint: existing.isDirectory() ? `To write a layout directory, name it oci:${file}` : "",
      });
    }
    await using cleanup = new AsyncDisposableStack();
    const temporary = cleanup.use(await TemporaryStage.make(dirname(file)));
    const stage = options.isRemote === true ? await temporary.layout() : undefined;
    const destination = new ArchiveDestination({ ...options, file }, temporary, stage);
    cleanup.move();
    return destination;
  }

  async takesOver({ digest }: Descriptor): Promise<boolean> {
    return this.#members.has(digest);
  }

  async putBlob(blob: Descriptor, open: BlobOpener, { signal }: WaitOptions = {}): Promise<void> {
    if (this.#members.has(blob.digest)) return;
    const { stage } = this;
    if (stage !== undefined) {
      const { mediaType, digest, size } = blob;
      await stage.putBlob({ mediaType, digest, size }, open(), { signal });
    }
    const reopen = stage === undefined ? open : () => fileChunks(stage.blobPath(blob.digest));
    this.#members.set(blob.digest, { blob, open: reopen });
  }

  async putManifest(
    descriptor: Descriptor,
    bytes: Uint8Array,
    options: WaitOptions = {},
  ): Promise<void> {
    await this.putBlob(descriptor, () => [bytes], options);
  }

  async finish(root: Descriptor, bytes: Uint8Array, { signal }: WaitOptions = {}): Promise<void> {
    await this.putManifest(root, bytes);
    await using file = await DurableFile.create({ ingest: this.#temporary.directory });
    const write = async (member: ArchiveMember, content: BlobOpener): Promise<void> => {
      await file.write(archiveHeader(member));
      for await (const chunk of content()) {
        signal?.throwIfAborted();
        await file.write(chunk);
      }
      await file.write(END_OF_ARCHIVE.subarray(0, paddingOf(member.size)));
    };
    await write({ name: "blobs/", size: 0 }, () => []);
    await write({ name: "blobs/sha256/", size: 0 }, () => []);
    for (const { blob, open } of [...this.#members.values()].toSorted(byDigest)) {
      const content = () => verifyStream(open(), blob, `blob ${blob.digest}`);
      await write({ name: `blobs/sha256/${hexOf(blob.digest)}`, size: blob.size }, content);
    }
    const index = this.#index(root);
    await write({ name: "index.json", size: index.length, mode: 0o644 }, () => [index]);
    const layout = OCI_LAYOUT_FILE;
    await write({ name: "oci-layout", size: layout.length }, () => [layout]);
    await file.write(END_OF_ARCHIVE);
    signal?.throwIfAborted();
    await file.commit(this.#file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#temporary[Symbol.asyncDispose]();
  }

  #index({ mediaType, digest, size }: Descriptor): Uint8Array {
    const annotations = this.#tag === undefined ? {} : { annotations: { [REF_NAME]: this.#tag } };
    const manifests = [{ mediaType, digest, size, ...annotations }];
    return new TextEncoder().encode(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }),
    );
  }
}

function byDigest(left: Member, right: Member): number {
  return left.blob.digest < right.blob.digest ? -1 : 1;
}
