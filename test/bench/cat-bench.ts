import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { LatencyProxy } from "../support/latency-proxy.ts";
import type { TestRegistry } from "../support/registry.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { countRounds } from "./count-rounds.ts";
import { REPOSITORY, startRegistry, TAG } from "./image-of-layers.ts";
import type { LayerFile } from "./layer-file.ts";
import { type RecordedRequest, RequestRecorder } from "./request-recorder.ts";
import type { Figure } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import { type SampleFile, sampleFiles } from "./sample-files.ts";
import { medianOf } from "./statistics.ts";

const DOWNLOAD_MAIN = join(import.meta.dirname, "download-main.ts");
const IMAGE_BYTES = 1e9;
const NOISE_LAYERS = 3;
const MiB = 1024 * 1024;
const FILE_BYTES = 20_000;
const DELAY_MS = 50;
const GIGABIT_BYTES = 125e6;
const OURS = "cat";
const DOWNLOAD = "full download";

/** What one cold read cost on the line. */
interface LineCost {
  readonly rounds: number;
  readonly requests: number;
  /** Answers' bytes, headers too, but for manifest, SOCI index and zTOCs; a unit is the file's mean span. */
  readonly spansBeyond: number;
}

export const catBench: Bench = {
  name: "cat",
  summary: "cold cat of a 20 KB file of a 1 GB image, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    const { runs, signal, binary, onSample } = context;
    await using dir = await tempDir();
    const layers = await imageLayers(dir, context);
    await using registry = await startRegistry(dir.join("blobs"), layers);
    await rm(dir.join("noise"), { recursive: true });
    const { metadataBytes, files } = await indexImage(registry, layers, { dir, context });
    await using line = await LatencyProxy.start({
      target: registry.host,
      delayMs: DELAY_MS,
      bytesPerSecond: GIGABIT_BYTES,
    });
    await using recorder = await RequestRecorder.start(line.host);
    const costs: LineCost[] = [];
    const cats = await runByTurns(
      [
        {
          label: OURS,
          includes: "the built binary, its local store empty; another file in each run",
          measure: async (run) => {
            const file = files.at(run);
            if (file === undefined) throw new Error(`there is no file for run ${run}`);
            recorder.take();
            const root = dir.join(`cold-${run}`);
            const image = `${recorder.host}/${REPOSITORY}:${TAG}`;
            const command = [binary, "cat", "--root", root, image, file.path];
            const { stdout, ...sample } = await runCommand(command, { signal });
            if (stdout.length !== file.size) {
              throw new Error(
                `Cannot use cat of "${file.path}": ${stdout.length} bytes, want ${file.size}`,
              );
            }
            if (run >= 0) costs.push(costOf(recorder.take(), file, metadataBytes));
            return sample;
          },
        },
      ],
      { runs, onSample },
    );
    const urls = layers.map(({ digest }) => `http://${line.host}/v2/${REPOSITORY}/blobs/${digest}`);
    const downloads = await runByTurns(
      [
        {
          label: DOWNLOAD,
          includes: "all layers at once through the same line, nothing unpacked; one run",
          measure: () => measureCommand([process.execPath, DOWNLOAD_MAIN, ...urls], { signal }),
        },
      ],
      { runs: 1, warmUp: false, onSample },
    );
    const imageBytes = layers.reduce((sum, { compressedSize }) => sum + compressedSize, 0);
    const sides = [...cats, ...downloads];
    yield {
      name: "cat",
      title: this.summary,
      input: `${layers.length} layers, ${Math.round(imageBytes / 1e6)} MB compressed; ${describeFiles(files)}`,
      sides,
      figures: [
        ...costFigures(costs),
        { what: "bytes of manifest, index and zTOCs", value: metadataBytes / 1e6, unit: "MB" },
        compareSides(sides, { ours: OURS, baseline: DOWNLOAD }),
        { what: "full download at the line's rate", value: imageBytes / GIGABIT_BYTES, unit: "s" },
      ],
      notes: ["rounds: the longest chain of requests of which each begins after one has ended"],
    };
  },
};

/** The real layer below and noise above it: no file of it is hidden, and together they are large enough. */
async function imageLayers(dir: TempDir, { layers }: BenchContext): Promise<readonly LayerFile[]> {
  const real = await layers.real();
  const missing = Math.max(0, IMAGE_BYTES - real.compressedSize);
  const noiseMiB = Math.max(1, Math.ceil(missing / NOISE_LAYERS / MiB));
  const image = [real];
  const directory = dir.join("noise");
  for (let i = 0; i < NOISE_LAYERS; i++) {
    image.push(await layers.noise(directory, `noise-${i}`, noiseMiB));
  }
  return image;
}

interface IndexedImage {
  /** Of the image's manifest, the SOCI index and all zTOCs. */
  readonly metadataBytes: number;
  /** One for each run, and one more for the warm-up. */
  readonly files: readonly SampleFile[];
}

interface CreateReport {
  readonly size: number;
  readonly layers: readonly { readonly layer: string; readonly ztocSize?: number }[];
}

/** Indexes the image in its registry and pushes the index, with the commands that users have. */
async function indexImage(
  registry: TestRegistry,
  [real]: readonly LayerFile[],
  { dir, context }: { readonly dir: TempDir; readonly context: BenchContext },
): Promise<IndexedImage> {
  const { binary, signal, runs } = context;
  const root = ["--root", dir.join("root")];
  const image = `${registry.host}/${REPOSITORY}:${TAG}`;
  const { stdout } = await runCommand([binary, "create", "--json", ...root, image], { signal });
  const [report] = JSON.parse(new TextDecoder().decode(stdout)) as readonly CreateReport[];
  const manifest = registry.manifest(REPOSITORY, TAG);
  if (report === undefined || manifest === undefined || real === undefined) {
    throw new Error("the image that was indexed is not there");
  }
  await runCommand([binary, "push", ...root, image], { signal });
  const ztoc = dir.join("real.ztoc");
  await runCommand([binary, "ztoc", "create", real.path, "--output", ztoc], { signal });
  const ztocBytes = report.layers.reduce((sum, { ztocSize = 0 }) => sum + ztocSize, 0);
  return {
    metadataBytes: manifest.bytes.length + report.size + ztocBytes,
    files: sampleFiles(await readFile(ztoc), { size: FILE_BYTES, count: runs + 1 }),
  };
}

function costOf(
  requests: readonly RecordedRequest[],
  { spanBytes, spans }: SampleFile,
  metadataBytes: number,
): LineCost {
  const bytes = requests.reduce((sum, request) => sum + request.bytes, 0);
  return {
    rounds: countRounds(requests),
    requests: requests.length,
    spansBeyond: (bytes - metadataBytes) / (spanBytes / spans),
  };
}

function costFigures(costs: readonly LineCost[]): Figure[] {
  const most = (part: (cost: LineCost) => number): number => Math.max(...costs.map(part));
  return [
    {
      what: "requests one after another, most",
      value: most(({ rounds }) => rounds),
      unit: "rounds",
      target: { floor: 5, aim: 4, isLimit: true },
    },
    { what: "requests, most", value: most(({ requests }) => requests), unit: "requests" },
    {
      what: "bytes beyond manifest, index, zTOCs, median",
      value: medianOf(costs.map(({ spansBeyond }) => spansBeyond)),
      unit: "spans",
      target: { floor: 1.5, aim: 1.5, isLimit: true },
    },
    {
      what: "bytes beyond manifest, index, zTOCs, most",
      value: most(({ spansBeyond }) => spansBeyond),
      unit: "spans",
    },
  ];
}

function describeFiles(files: readonly SampleFile[]): string {
  return `files of ${files.map(({ size, spans }) => `${size} B in ${spans} spans`).join(", ")}`;
}
