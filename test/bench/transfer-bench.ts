import { randomFillSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { digestOf } from "../../src/oci/digest.ts";
import {
  OCI_CONFIG,
  OCI_LAYER_TAR,
  OCI_MANIFEST,
  OCTET_STREAM,
} from "../../src/oci/media-types.ts";
import { hostPlatform } from "../../src/oci/platform.ts";
import { directoryBlobs } from "../support/blob-store.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { compareSides, peakRssOf } from "./compare-sides.ts";
import { countRounds } from "./count-rounds.ts";
import { RequestRecorder } from "./request-recorder.ts";
import type { Figure, RowReport, SideReport } from "./row-report.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import type { Sample } from "./sample.ts";
import { medianOf } from "./statistics.ts";

const MAIN = join(import.meta.dirname, "transfer-main.ts");
const REPOSITORY = "bench/transfer";
const TAG = "latest";
const ARTIFACT = "application/vnd.bench.index.v1+json";
const BLOB_BYTES = 1e9;
const NOISE_BYTES = 64 * 1024 * 1024;
const ZTOCS = 32;
const ZTOC_BYTES = 400_000;
const DELAY_MS = 50;
const GIGABIT_BYTES = 125e6;
const RANGES = 1000;
const RANGE_BYTES = 4096;
const AT_ONCE = 64;
const MiB = 1024 * 1024;
const OURS = "sociable's client";
const WARM = "… in a warm process";
const CURL = "curl";
const SKOPEO = "skopeo copy";

interface Stage {
  readonly dir: TempDir;
  readonly registry: TestRegistry;
  /** The registry at the end of a long line. */
  readonly far: LatencyProxy;
  readonly program: string;
  readonly blob: Descriptor;
  readonly image: Descriptor;
  readonly context: BenchContext;
}

export const transferBench: Bench = {
  name: "registry",
  summary: "the registry client: a 1 GB blob near and far, an index with its zTOCs, small ranges",
  async *run(context) {
    await using cleanup = new AsyncDisposableStack();
    const dir = cleanup.use(await tempDir());
    const registry = cleanup.use(TestRegistry.start({}, directoryBlobs(dir.join("blobs"))));
    const far = cleanup.use(
      await LatencyProxy.start({
        target: registry.host,
        delayMs: DELAY_MS,
        bytesPerSecond: GIGABIT_BYTES,
      }),
    );
    const blob = await addNoise(registry, BLOB_BYTES);
    const image = await addImage(registry, blob);
    await addIndex(registry, image);
    const program = await compile(dir, context.signal);
    const stage: Stage = { dir, registry, far, program, blob, image, context };
    yield await blobNearby(stage);
    yield await blobFarAway(stage);
    yield await indexFarAway(stage);
    yield await smallRanges(stage, "nearby");
    yield await smallRanges(stage, "far away");
  },
};

/** One connection, as fast as the machine can. */
async function blobNearby(stage: Stage): Promise<RowReport> {
  const { registry, context, dir } = stage;
  const { runs, onSample, signal } = context;
  const sides: Side[] = [oursWhole(stage, registry.host), curlWhole(stage, registry.host)];
  const skopeo = Bun.which("skopeo");
  if (skopeo !== null) {
    sides.push({
      label: SKOPEO,
      includes: "manifest, config and blob, verified, written to a directory",
      measure: (run) => {
        const source = `docker://${registry.host}/${REPOSITORY}:${TAG}`;
        const copy = [skopeo, "copy", "--quiet", "--src-tls-verify=false", source];
        return measureCommand([...copy, `dir:${dir.join(`copy-${run % 2}`)}`], { signal });
      },
    });
  }
  const measured = await runByTurns(sides, { runs, onSample });
  const rate = BLOB_BYTES / 1e6 / medianSeconds(measured, OURS);
  return {
    name: "registry-blob",
    title: "a whole blob over loopback, one connection, verified",
    input: "1 GB of noise",
    sides: measured,
    figures: [
      {
        what: "rate, start of the process included",
        value: rate,
        unit: "MB/s",
        target: { floor: 600, aim: 1000 },
      },
      ...memoryFigures(measured),
      compareSides(measured, { ours: OURS, baseline: CURL }),
      ...(skopeo === null ? [] : [compareSides(measured, { ours: OURS, baseline: SKOPEO })]),
    ],
  };
}

/** Parallel ranges over a long line. */
async function blobFarAway(stage: Stage): Promise<RowReport> {
  const { far, context } = stage;
  const { runs, onSample } = context;
  const sides = [oursWhole(stage, far.host), curlWhole(stage, far.host)];
  const measured = await runByTurns(sides, { runs: Math.min(runs, 3), warmUp: false, onSample });
  const shareOf = (label: string): number =>
    BLOB_BYTES / GIGABIT_BYTES / medianSeconds(measured, label);
  return {
    name: "registry-far",
    title: `a whole blob by parallel ranges, ${DELAY_MS} ms a request, 1 Gbit/s`,
    input: "1 GB of noise",
    sides: measured,
    figures: [
      {
        what: "share of the line",
        value: shareOf(OURS),
        unit: "x",
        target: { floor: 0.9, aim: 0.97 },
      },
      { what: "share of the line, curl", value: shareOf(CURL), unit: "x" },
      ...memoryFigures(measured),
    ],
    notes: ["The proxy that is the line takes its own part of the two cores."],
  };
}

/** What a cold start waits for before its first read. */
async function indexFarAway(stage: Stage): Promise<RowReport> {
  const { far, context, program, image } = stage;
  const { runs, onSample, signal } = context;
  await using recorder = await RequestRecorder.start(far.host);
  const rounds = new Map<string, number[]>();
  const sideOf = (label: string, reference: string): Side => ({
    label,
    includes: "manifest, referrers, SOCI index, 32 zTOCs of 400 KB, each verified",
    measure: async () => {
      recorder.take();
      const command = [program, "index", recorder.host, REPOSITORY, reference, ARTIFACT];
      const sample = await measured(command, ZTOCS * ZTOC_BYTES, signal);
      rounds.set(label, [...(rounds.get(label) ?? []), countRounds(recorder.take())]);
      return sample;
    },
  });
  const sides = [sideOf("image by tag", TAG), sideOf("image by digest", image.digest)];
  const reports = await runByTurns(sides, { runs, onSample });
  const figureOf = (label: string): Figure => ({
    what: `requests one after another, ${label}`,
    value: medianOf(rounds.get(label) ?? []),
    unit: "rounds",
    target: { floor: 4, aim: 3, isLimit: true },
  });
  return {
    name: "registry-index",
    title: `manifest, index and zTOCs, ${DELAY_MS} ms a request, 1 Gbit/s`,
    input: `${ZTOCS} zTOCs of ${ZTOC_BYTES} bytes`,
    sides: reports,
    figures: sides.map(({ label }) => figureOf(label)),
    notes: ["13 MB take 0.1 s on that line."],
  };
}

/** Many small reads at once. */
async function smallRanges(stage: Stage, where: "nearby" | "far away"): Promise<RowReport> {
  const { registry, far, context, program, blob, dir } = stage;
  const { runs, onSample, signal } = context;
  const host = where === "nearby" ? registry.host : far.host;
  const config = dir.join(`curl-${where === "nearby" ? "near" : "far"}.cfg`);
  await writeFile(config, curlConfig(`http://${host}/v2/${REPOSITORY}/blobs/${blob.digest}`));
  const numbers = [RANGES, RANGE_BYTES, AT_ONCE].map(String);
  const includes = `${RANGES} ranges of ${RANGE_BYTES} bytes, ${AT_ONCE} at a time; start of the process`;
  const measuredSides = await runByTurns(
    [
      {
        label: OURS,
        includes,
        measure: () =>
          measured(
            [program, "ranges", host, REPOSITORY, blob.digest, String(blob.size), ...numbers],
            RANGES * RANGE_BYTES,
            signal,
          ),
      },
      {
        label: WARM,
        includes: "the same in a process that runs already, as the daemon does",
        measure: async () => {
          const command = [program, "warm-ranges", host, REPOSITORY, blob.digest];
          const { stdout } = await runCommand([...command, String(blob.size), ...numbers], {
            signal,
          });
          return warmSample(new TextDecoder().decode(stdout));
        },
      },
      {
        label: CURL,
        includes,
        measure: () =>
          measureCommand(
            [CURL, "--silent", "--parallel", "--parallel-max", String(AT_ONCE), "--config", config],
            { signal },
          ),
      },
    ],
    { runs, onSample },
  );
  return {
    name: where === "nearby" ? "registry-ranges" : "registry-ranges-far",
    title: `small ranged GETs, ${where === "nearby" ? "over loopback" : `${DELAY_MS} ms a request`}`,
    input: "1 GB of noise",
    sides: measuredSides,
    figures: [
      compareSides(measuredSides, { ours: OURS, baseline: CURL }),
      compareSides(measuredSides, {
        ours: WARM,
        baseline: CURL,
        target: { floor: 1, aim: 1.5 },
      }),
    ],
  };
}

/** Reads "bytes seconds CPU-seconds". */
function warmSample(text: string): Sample {
  const [bytes, wallSeconds = Number.NaN, cpuSeconds = Number.NaN] = text.split(" ").map(Number);
  if (bytes !== RANGES * RANGE_BYTES) {
    throw new Error(`read ${bytes} bytes, want ${RANGES * RANGE_BYTES}`);
  }
  return { wallSeconds, cpuSeconds };
}

function oursWhole({ program, blob, context }: Stage, host: string): Side {
  const command = [program, "blob", host, REPOSITORY, blob.digest, String(blob.size)];
  return {
    label: OURS,
    includes: "a compiled program of the client alone; size and digest checked, bytes dropped",
    measure: () => measured(command, blob.size, context.signal),
  };
}

function curlWhole({ blob, context }: Stage, host: string): Side {
  const url = `http://${host}/v2/${REPOSITORY}/blobs/${blob.digest}`;
  return {
    label: CURL,
    includes: "one connection; nothing checked, bytes dropped",
    measure: () =>
      measureCommand([CURL, "--silent", "--fail", "--output", "/dev/null", url], {
        signal: context.signal,
      }),
  };
}

/** A run of the program that must have read so many bytes. */
async function measured(command: readonly string[], bytes: number, signal: AbortSignal) {
  const { stdout, ...sample } = await runCommand(command, { signal });
  const text = new TextDecoder().decode(stdout);
  if (text !== String(bytes)) {
    throw new Error(`read ${text} bytes, want ${bytes}`);
  }
  return sample;
}

function medianSeconds(sides: readonly SideReport[], label: string): number {
  const samples = sides.find((side) => side.label === label)?.samples ?? [];
  return medianOf(samples.map(({ wallSeconds }) => wallSeconds));
}

function memoryFigures(sides: readonly SideReport[]): Figure[] {
  const peak = peakRssOf(sides, OURS);
  const target = { floor: 60, aim: 40, isLimit: true };
  return peak === undefined
    ? []
    : [{ what: "peak memory of the process", value: peak / MiB, unit: "MiB", target }];
}

function curlConfig(url: string): string {
  const transfers = Array.from({ length: RANGES }, (_, i) => {
    const start = i * RANGE_BYTES;
    return `url = "${url}"\nrange = ${start}-${start + RANGE_BYTES - 1}\noutput = /dev/null\n`;
  });
  return transfers.join("next\nsilent\n");
}

async function compile(dir: TempDir, signal: AbortSignal): Promise<string> {
  const program = dir.join("transfer");
  const build = [process.execPath, "build", "--compile", "--minify", MAIN];
  await runCommand([...build, "--outfile", program], { signal });
  return program;
}

async function addNoise(registry: TestRegistry, size: number): Promise<Descriptor> {
  const noise = randomFillSync(new Uint8Array(Math.min(size, NOISE_BYTES)));
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += noise.length) {
    bytes.set(noise.subarray(0, Math.min(noise.length, size - at)), at);
  }
  const digest = await registry.addBlob(REPOSITORY, bytes);
  return { mediaType: OCTET_STREAM, digest, size };
}

async function addImage(registry: TestRegistry, { digest, size }: Descriptor): Promise<Descriptor> {
  const { architecture, os } = hostPlatform();
  const rootfs = { type: "layers", diff_ids: [digest] };
  const config = await addJson(registry, { architecture, os, config: {}, rootfs });
  const bytes = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...config, mediaType: OCI_CONFIG },
    layers: [{ mediaType: OCI_LAYER_TAR, digest, size }],
  });
  return registry.addManifest(REPOSITORY, { mediaType: OCI_MANIFEST, bytes, tag: TAG });
}

async function addIndex(registry: TestRegistry, subject: Descriptor): Promise<void> {
  const layers: Descriptor[] = [];
  for (let i = 0; i < ZTOCS; i++) {
    layers.push(await addNoise(registry, ZTOC_BYTES));
  }
  const config = await addJson(registry, {});
  const bytes = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { ...config, mediaType: ARTIFACT },
    layers,
    subject,
  });
  registry.addManifest(REPOSITORY, { mediaType: OCI_MANIFEST, bytes });
}

async function addJson(
  registry: TestRegistry,
  value: unknown,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const bytes = encode(value);
  await registry.addBlob(REPOSITORY, bytes);
  return { digest: digestOf(bytes), size: bytes.length };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
