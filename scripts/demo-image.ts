import { createReadStream } from "node:fs";
import { basename, dirname, join } from "node:path";
import { mapConcurrent } from "../src/async/map-concurrent.ts";
import { formatByteSize } from "../src/cli/byte-size.ts";
import { digestOf } from "../src/oci/digest.ts";
import { OCI_CONFIG, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { hostPlatform } from "../src/oci/platform.ts";
import type { TagName } from "../src/oci/reference.ts";
import type { RegistryClient } from "../src/oci/registry.ts";
import type { Candidate } from "./demo-choice.ts";
import { type HostEntry, listHostTree } from "./demo-files.ts";
import { type DemoLayer, type LayerPlan, type TextEntry, writeLayer } from "./demo-layer.ts";
import type { DemoOutput } from "./demo-output.ts";
import { listPrograms } from "./demo-programs.ts";
import { projectPath } from "./project.ts";

const MiB = 1024 * 1024;
/** Compressed: less is no image worth being lazy about. */
const MIN_IMAGE_BYTES = 100 * MiB;

const TREES = [
  { path: "/usr/lib", name: "usr/lib", maxBytes: 112 * MiB, maxFileBytes: 64 * MiB, level: 6 },
  { path: "/usr/bin", name: "usr/bin", maxBytes: 80 * MiB, maxFileBytes: 32 * MiB, level: 6 },
  { path: "/usr/share", name: "usr/share", maxBytes: 64 * MiB, maxFileBytes: 32 * MiB, level: 9 },
  {
    path: projectPath("node_modules"),
    name: "opt/app/node_modules",
    maxBytes: 64 * MiB,
    maxFileBytes: 32 * MiB,
    level: 3,
  },
];
/** For machines with few files: the tools that the lock file brings are everywhere. */
const SPARE_TREES = [
  { path: projectPath("node_modules/@oven"), name: "opt/bun", level: 6 },
  { path: projectPath("node_modules/@biomejs"), name: "opt/biome", level: 6 },
].map((tree) => ({ ...tree, maxBytes: 128 * MiB, maxFileBytes: 128 * MiB }));

export interface DemoImageOptions {
  readonly directory: string;
  readonly output: DemoOutput;
  readonly signal: AbortSignal;
}

/** A file of the image as it was on this machine. */
export interface HostFile extends Candidate {
  readonly hostPath: string;
}

/** An image of this machine's own files, layers bottom first. */
export async function makeHostImage(options: DemoImageOptions): Promise<readonly DemoLayer[]> {
  const layers = await mapConcurrent(
    TREES,
    (tree, signal, i) => makeLayer(tree, i, { ...options, signal }),
    { limit: 2, signal: options.signal },
  );
  for (const tree of SPARE_TREES) {
    if (sizeOf(layers) >= MIN_IMAGE_BYTES) break;
    layers.push(await makeLayer(tree, layers.length, options));
  }
  const programs = await listPrograms(options.signal);
  const entries = [...programs, ...settings(layers, programs)];
  const plan = { title: "programs and settings", entries, level: 6 };
  layers.push(await packLayer(plan, layers.length, options));
  return layers.filter(({ entries }) => entries.length > 0);
}

/** The files that can be read out of the image: what the top layer removes cannot. */
export function filesOf(layers: readonly DemoLayer[]): HostFile[] {
  const names = new Set(layers.flatMap(({ entries }) => entries.map(({ name }) => name)));
  return layers.flatMap(({ entries }, layer) =>
    entries.flatMap((entry) =>
      "path" in entry && entry.type === "file" && !names.has(whiteoutOf(entry.name))
        ? [{ path: `/${entry.name}`, size: entry.size, layer, hostPath: entry.path }]
        : [],
    ),
  );
}

/** Compressed bytes of all layers. */
export function sizeOf(layers: readonly DemoLayer[]): number {
  return layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
}

async function makeLayer(
  tree: (typeof TREES)[number],
  number: number,
  options: DemoImageOptions,
): Promise<DemoLayer> {
  const entries = await listHostTree({ ...tree, signal: options.signal });
  const title = `/${tree.name}`;
  return await packLayer({ title, entries, level: tree.level }, number, options);
}

async function packLayer(
  plan: LayerPlan,
  number: number,
  { directory, output, signal }: DemoImageOptions,
): Promise<DemoLayer> {
  const layer = await writeLayer(plan, { path: `${directory}/layer-${number}`, signal });
  const sizes = `${formatByteSize(layer.tarSize)} as tar, ${formatByteSize(layer.descriptor.size)} as gzip -${plan.level}`;
  output.line(`layer of ${plan.title}: ${plan.entries.length} entries, ${sizes}`);
  return layer;
}

/** What images have at their top: a few bytes of settings, and files of lower layers removed. */
function settings(
  layers: readonly DemoLayer[],
  needed: readonly HostEntry[],
): (HostEntry | TextEntry)[] {
  const kept = new Set(needed.map(({ name }) => name));
  const removed = layers
    .flatMap(({ entries }) => entries.filter((entry) => "path" in entry && entry.type === "file"))
    .filter(({ name }) => !kept.has(name))
    .slice(0, 3);
  return [
    { name: "etc/os-release", content: 'ID=sociable-demo\nPRETTY_NAME="sociable\'s demo"\n' },
    { name: "etc/motd", content: "Made of the files of a machine that ran the demo.\n" },
    ...removed.map(({ name }) => ({ name: whiteoutOf(name), content: "" })),
  ];
}

function whiteoutOf(name: string): string {
  return join(dirname(name), `.wh.${basename(name)}`);
}

/** Pushes an image of these layers. */
export async function pushHostImage(
  layers: readonly DemoLayer[],
  {
    client,
    tag,
    signal,
  }: { readonly client: RegistryClient; readonly tag: TagName; readonly signal: AbortSignal },
): Promise<void> {
  const config = encode({
    ...hostPlatform(),
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const configDescriptor = {
    mediaType: OCI_CONFIG,
    digest: digestOf(config),
    size: config.length,
  };
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: configDescriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  });
  await mapConcurrent(
    layers,
    ({ descriptor, path }, inner) =>
      client.uploadBlob(descriptor, () => createReadStream(path, { highWaterMark: MiB }), {
        signal: inner,
      }),
    { limit: 3, signal },
  );
  await client.uploadBlob(configDescriptor, () => [config], { signal });
  await client.putManifest(manifest, { mediaType: OCI_MANIFEST, reference: tag, signal });
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
