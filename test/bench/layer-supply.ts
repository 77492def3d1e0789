import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { noiseTar, tinyFilesTar } from "./generated-tar.ts";
import { type HostFile, hostFiles } from "./host-files.ts";
import { type LayerFile, readLayerFile } from "./layer-file.ts";
import { runCommand } from "./run-command.ts";

const REAL_LAYER_BYTES = 650e6;
const FAST = 1;
const STORED = 0;

export interface LayerSupplyOptions {
  /** Where layers are made; whoever owns it removes it. */
  readonly directory: string;
  /** A real layer that is there already. */
  readonly real: string | undefined;
  readonly signal: AbortSignal;
  readonly onWork: (what: string) => void;
}

/** Makes the layers that rows work on; the real one, which many use, once. */
export class LayerSupply {
  readonly #options: LayerSupplyOptions;
  #real: Promise<LayerFile> | undefined;

  constructor(options: LayerSupplyOptions) {
    this.#options = options;
  }

  /** A real layer of over 500 MB: files of this machine, packed by GNU tar and gzip -6. */
  real(): Promise<LayerFile> {
    this.#real ??= this.#makeReal();
    return this.#real;
  }

  /** Different layers of files of this machine, all of about the same size. */
  async equal(directory: string, count: number): Promise<readonly LayerFile[]> {
    const { signal, onWork } = this.#options;
    onWork(`packing ${count} layers of this machine's files`);
    const groups = Array.from({ length: count }, () => ({ bytes: 0, files: [] as HostFile[] }));
    const files = await hostFiles(REAL_LAYER_BYTES, signal);
    for (const file of files.toSorted((a, b) => b.size - a.size)) {
      const least = groups.reduce((one, other) => (other.bytes < one.bytes ? other : one));
      least.files.push(file);
      least.bytes += file.size;
    }
    return await Promise.all(
      groups.map((group, i) =>
        this.#pack(
          join(directory, `equal-${i}.tar.gz`),
          group.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
        ),
      ),
    );
  }

  /** A layer of so many files of a line each. */
  async tinyFiles(directory: string, count: number): Promise<LayerFile> {
    this.#options.onWork(`making a layer of ${count} tiny files`);
    return await this.#compress(join(directory, "tiny-files.tar.gz"), tinyFilesTar(count), FAST);
  }

  /** A layer of so many MiB that cannot be compressed: stored deflate blocks. */
  async noise(directory: string, name: string, sizeMiB: number): Promise<LayerFile> {
    this.#options.onWork(`making a layer of ${sizeMiB} MiB of noise`);
    return await this.#compress(join(directory, `${name}.tar.gz`), noiseTar(name, sizeMiB), STORED);
  }

  async #makeReal(): Promise<LayerFile> {
    const { directory, real, signal, onWork } = this.#options;
    if (real !== undefined) return await readLayerFile(real, signal);
    onWork("packing a layer of this machine's files");
    return await this.#pack(
      join(directory, "real.tar.gz"),
      await hostFiles(REAL_LAYER_BYTES, signal),
    );
  }

  async #pack(path: string, files: readonly HostFile[]): Promise<LayerFile> {
    const { signal } = this.#options;
    const list = `${path}.list`;
    await writeFile(list, files.map((file) => `${file.path.slice(1)}\0`).join(""));
    const command = [
      "tar",
      "--create",
      "--format=gnu",
      "--numeric-owner",
      "--no-recursion",
      "--null",
      // tar's options hold for what comes after them.
      "--directory=/",
      `--files-from=${list}`,
      "--use-compress-program=gzip -6",
      `--file=${path}`,
    ];
    // 1: a file changed while it was read. The layer is sound all the same.
    await runCommand(command, { signal, accepted: [0, 1] });
    return await readLayerFile(path, signal);
  }

  async #compress(path: string, tar: Iterable<Uint8Array>, level: number): Promise<LayerFile> {
    const { signal } = this.#options;
    await mkdir(dirname(path), { recursive: true });
    await pipeline(Readable.from(tar), createGzip({ level }), createWriteStream(path), { signal });
    return await readLayerFile(path, signal);
  }
}

/** What a report says of a layer. */
export function describeLayer({ path, compressedSize, uncompressedSize }: LayerFile): string {
  const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return `${basename(path)}: ${mega(uncompressedSize)} of tar, ${mega(compressedSize)} of gzip`;
}
