import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { formatByteSize } from "../src/cli/byte-size.ts";
import { SociError } from "../src/errors.ts";
import type { Descriptor } from "../src/oci/descriptor.ts";
import { openImageSource, openRegistryClient } from "../src/oci/open-image-source.ts";
import { parseReference, type TagName } from "../src/oci/reference.ts";
import { LatencyProxy } from "../test/support/latency-proxy.ts";
import { chooseFiles } from "./demo-choice.ts";
import { startContainers } from "./demo-containers.ts";
import { copyImage, type UnpackedFile, unpackLayer, visibleFiles } from "./demo-copy.ts";
import { filesOf, type HostFile, makeHostImage, pushHostImage, sizeOf } from "./demo-image.ts";
import { type Cost, downloadPlainly } from "./demo-download.ts";
import { LineMeter } from "./demo-meter.ts";
import { readMounted } from "./demo-mounted-reads.ts";
import { DemoOutput, shortDigests } from "./demo-output.ts";
import { findProgram } from "./demo-program.ts";
import { startRegistry } from "./demo-registry.ts";
import { report, titleOf } from "./demo-report.ts";
import { type Specimen, type SpecimenRead, type Stage, sociable } from "./demo-stage.ts";

export interface DemonstrateOptions {
  /** As sociable names images; undefined: one is made. */
  readonly image: string | undefined;
  /** For everything that is written. */
  readonly directory: string;
  /** What is opened goes here, and is closed by the caller. */
  readonly cleanup: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

const DELAY_MS = 20;
const MBIT_PER_SECOND = 200;
const REPOSITORY = "demo/app";
const TAG = "latest" as TagName;
/** Layers that a plain client downloads at once, as Docker and containerd do. */
const PLAIN_DOWNLOADS = 3;
/** Of `sociable create`: smaller layers get no zTOC. */
const DEFAULT_MIN_LAYER_SIZE = 10 * 1024 * 1024;

/** The whole demo, told on standard output. */
export async function demonstrate(options: DemonstrateOptions): Promise<void> {
  const { directory, cleanup, signal } = options;
  const output = new DemoOutput();
  output.title("sociable: read files of an image in a registry without pulling it");

  const { program, near, far, meter } = await output.step("Start a registry", async () => {
    const found = await findProgram(signal);
    const started = cleanup.use(await startRegistry(directory));
    const meter = cleanup.use(await LineMeter.start(started.host));
    const proxy = cleanup.use(
      await LatencyProxy.start({
        target: meter.host,
        delayMs: DELAY_MS,
        bytesPerSecond: (MBIT_PER_SECOND * 1_000_000) / 8,
      }),
    );
    output.line(`program:  ${found.kind.join("\n             ")}`);
    output.line(`registry: ${started.kind.join("\n             ")}`);
    output.line(`near:     ${started.host}, straight to it, for whoever builds and indexes images`);
    output.line(
      `far:      ${proxy.host}, through a proxy: ${DELAY_MS} ms a request, ${MBIT_PER_SECOND} Mbit/s in all`,
    );
    return {
      program: found,
      near: `${started.host}/${REPOSITORY}:${TAG}`,
      far: `${proxy.host}/${REPOSITORY}:${TAG}`,
      meter,
    };
  });
  signal.throwIfAborted();

  const stage: NearStage = { ...options, output, program, near };
  const { layers, specimens } =
    options.image === undefined
      ? await stageHostImage(stage)
      : await stageCopy(stage, options.image);

  await indexAndPush(stage, layers);
  const full = await downloadInFull(stage, { far, layers });
  const reads = await readLazily(stage, { far, specimens });
  const lazy = reads.map(({ choice, cost }) => ({ title: `lazy: ${titleOf(choice)}`, cost }));
  const mounted = await readMounted(stage, { far, reads, meter });
  const containers = await startContainers(stage, { near, far, reads, meter });
  output.title(`Over ${DELAY_MS} ms a request and ${MBIT_PER_SECOND} Mbit/s`);
  const download = { title: "full download", cost: full };
  report(output, { full, rows: [download, ...lazy, ...mounted] });
  if (containers.length === 0) return;
  output.title("A container that reads the same files");
  report(output, { full, rows: containers });
}

interface NearStage extends Stage {
  /** The image in the registry, straight to it. */
  readonly near: string;
}

interface Staged {
  readonly layers: readonly Descriptor[];
  readonly specimens: readonly Specimen[];
}

async function stageHostImage(stage: NearStage): Promise<Staged> {
  const { output, directory, near, signal } = stage;
  const layers = await output.step("Make an image of this machine's files", async () => {
    const made = await makeHostImage({ directory, output, signal });
    output.line(`${made.length} layers, ${formatByteSize(sizeOf(made))}; the last removes 3 files`);
    return made;
  });
  await output.step(`Push it to ${near}`, () =>
    pushHostImage(layers, { client: openRegistryClient(parseReference(near)), tag: TAG, signal }),
  );
  const specimens = chooseFiles(filesOf(layers)).map((choice) => ({
    choice,
    isRight: (bytes: Uint8Array) => isSameFile(choice.file, bytes),
  }));
  return { layers: layers.map(({ descriptor }) => descriptor), specimens };
}

async function isSameFile({ hostPath }: HostFile, bytes: Uint8Array): Promise<boolean> {
  return (await readFile(hostPath)).equals(bytes);
}

async function stageCopy(stage: NearStage, image: string): Promise<Staged> {
  const { output, near, signal } = stage;
  const client = openRegistryClient(parseReference(near));
  const layers = await output.step(`Copy ${image} to ${near}`, async () => {
    await using source = await openImageSource(image, { signal });
    const copied = await copyImage(source, { client, tag: TAG, signal });
    output.line(`${copied.length} layers, ${formatByteSize(bytesOf(copied))}`);
    return copied;
  });
  const files = await output.step("Look into it with another tar reader", async () => {
    const found: UnpackedFile[] = [];
    for (const [layer, descriptor] of layers.entries()) {
      const { mediaType } = descriptor;
      const blob = client.getBlob(descriptor, { signal });
      for (const file of await unpackLayer(blob, { mediaType, layer })) found.push(file);
    }
    output.line(`${found.length} regular files`);
    return found;
  });
  const { stdout } = await sociable(stage, "look", ["ls", "-R", "--json", near]);
  const visible = visibleFiles(files, Buffer.from(stdout).toString());
  const specimens = chooseFiles(visible).map((choice) => ({
    choice,
    isRight: async (bytes: Uint8Array) =>
      `sha256:${createHash("sha256").update(bytes).digest("hex")}` === choice.file.digest,
  }));
  return { layers, specimens };
}

async function indexAndPush(stage: NearStage, layers: readonly Descriptor[]): Promise<void> {
  const { output, near } = stage;
  const isSmall = layers.every(({ size }) => size < DEFAULT_MIN_LAYER_SIZE);
  const flags = isSmall ? ["--min-layer-size", "0"] : [];
  const show = (stdout: Uint8Array): void => {
    for (const line of Buffer.from(stdout).toString().trim().split("\n"))
      output.line(shortDigests(line));
  };
  await output.step("Build its SOCI index", async () => {
    output.command(["sociable", "create", ...flags, near]);
    const argv = ["create", ...flags, near];
    show((await sociable(stage, "builder", argv, { showProgress: true })).stdout);
  });
  await output.step("Push the index; the image stays as it is", async () => {
    output.command(["sociable", "push", near]);
    show((await sociable(stage, "builder", ["push", near])).stdout);
  });
}

async function downloadInFull(
  { output, signal }: Stage,
  { far, layers }: { readonly far: string; readonly layers: readonly Descriptor[] },
): Promise<Cost> {
  return await output.step("Download the image in full, from afar", async () => {
    const cost = await downloadPlainly(parseReference(far), {
      layers,
      parallel: PLAIN_DOWNLOADS,
      signal,
    });
    output.line(
      `manifest and ${layers.length} layers, ${PLAIN_DOWNLOADS} at once, digests verified; not unpacked`,
    );
    return cost;
  });
}

async function readLazily(
  stage: Stage,
  { far, specimens }: { readonly far: string; readonly specimens: readonly Specimen[] },
): Promise<readonly SpecimenRead[]> {
  const { output } = stage;
  return await output.step(
    `Read ${specimens.length} files lazily, from afar, each with a new root: nothing is known here`,
    async () => {
      const reads: SpecimenRead[] = [];
      for (const [i, { choice, isRight }] of specimens.entries()) {
        const { path } = choice.file;
        output.command(["sociable", "cat", "--stats", far, path]);
        const argv = ["cat", "--stats", far, path];
        const { stdout, stderr, ms } = await sociable(stage, `reader-${i}`, argv);
        if (!(await isRight(stdout))) {
          throw new SociError("data-loss", `Cannot use "${path}": it is not the original`);
        }
        output.line(`${formatByteSize(stdout.length)}, byte for byte the original`);
        reads.push({ choice, bytes: stdout, cost: { ms, ...statsOf(stderr) } });
      }
      return reads;
    },
  );
}

/** What --stats printed. */
function statsOf(stderr: string): { readonly requests: number; readonly bytes: number } {
  const requests = /^requests: (\d+)$/m.exec(stderr)?.[1];
  const bytes = /^bytes fetched: (\d+)$/m.exec(stderr)?.[1];
  if (requests === undefined || bytes === undefined) {
    throw new SociError("internal", `Cannot read what --stats printed: ${stderr}`);
  }
  return { requests: Number(requests), bytes: Number(bytes) };
}

function bytesOf(layers: readonly Descriptor[]): number {
  return layers.reduce((sum, { size }) => sum + size, 0);
}
