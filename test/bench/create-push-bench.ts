import { randomFillSync } from "node:crypto";
import { rm } from "node:fs/promises";
import { buildLayer } from "../support/image-builder.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { peakRssOf } from "./compare-sides.ts";
import { bytesOf, PushStage, type StagedImage } from "./push-stage.ts";
import type { Figure, RowReport, SideReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import { SERVE_IMAGES } from "./serve-stage.ts";
import { medianOf, minimumOf } from "./statistics.ts";

const OURS = "create --push";
const CURL = "curl";
const MiB = 1024 * 1024;
const TOP_BYTES = 16 * MiB;

export const createPushBench: Bench = {
  name: "create-push",
  summary:
    "create --push from and to a registry, 10 ms a request, 1 Gbit/s; and again with a new top layer",
  async *run(context) {
    await using stage = await PushStage.open(context, [SERVE_IMAGES.large, SERVE_IMAGES.many]);
    yield await createAndPush(stage, SERVE_IMAGES.large, context);
    yield await createAndPush(stage, SERVE_IMAGES.many, context);
    yield await indexAgain(stage, context);
  },
};

async function createAndPush(
  stage: PushStage,
  name: string,
  { binary, runs, onSample, signal }: BenchContext,
): Promise<RowReport> {
  const image = await stage.imageOf(`bench/${name}`);
  const sides = await runByTurns(
    [
      {
        label: OURS,
        includes: "an empty local store, a repository with the image alone; layers checked",
        measure: async () => {
          const { repository } = await stage.inFreshRepository(image);
          const root = stage.dir.join("root");
          const command = createCommand({ binary, root, at: `${stage.line.host}/${repository}` });
          const sample = await measureCommand(command, { signal });
          await rm(root, { recursive: true });
          return sample;
        },
      },
      {
        label: CURL,
        includes: "the layers alone, a connection each; nothing checked, bytes dropped",
        measure: () => measureCommand(stage.curlBlobs(image.repository, image.layers), { signal }),
      },
    ],
    { runs, onSample },
  );
  return {
    name: `create-push-${name}`,
    title: "create --push against downloading the layers, 10 ms a request, 1 Gbit/s",
    input: `${describe(image)}`,
    sides,
    figures: [...timeFigures(sides, { floor: 1.15, aim: 1.05 }), memoryFigure(sides)],
    notes: ["The proxy that is the line and the registry take their part of the cores."],
  };
}

/** Only the topmost layer is new: the local store has the zTOCs of the others, and so has the repository. */
async function indexAgain(
  stage: PushStage,
  { binary, runs, onSample, signal }: BenchContext,
): Promise<RowReport> {
  const base = await stage.inFreshRepository(await stage.imageOf(`bench/${SERVE_IMAGES.large}`));
  const at = `${stage.line.host}/${base.repository}`;
  const root = stage.dir.join("root-again");
  await runCommand(createCommand({ binary, root, at }), { signal });
  let top = await changed(stage, base);
  const sides = await runByTurns(
    [
      {
        label: OURS,
        includes: "zTOCs of the other layers are in the local store and the repository",
        measure: async () => {
          top = await changed(stage, base);
          return await measureCommand(createCommand({ binary, root, at }), { signal });
        },
      },
      {
        label: CURL,
        includes: "the new layer alone; nothing checked, bytes dropped",
        measure: () =>
          measureCommand(stage.curlBlobs(base.repository, top.layers.slice(-1)), { signal }),
      },
    ],
    { runs, onSample },
  );
  const walls = wallsOf(sides, OURS);
  const target = { floor: 2, aim: 1, isLimit: true };
  return {
    name: "create-push-again",
    title: "create --push after only the last layer changed, 10 ms a request, 1 Gbit/s",
    input: `${describe(base)} and a new layer of ${(TOP_BYTES / 1e6).toFixed(0)} MB on top`,
    sides,
    figures: [
      { what: "median", value: medianOf(walls), unit: "s", target },
      { what: "least", value: minimumOf(walls), unit: "s" },
      memoryFigure(sides),
    ],
  };
}

/** With another layer on top of the base than ever before. */
async function changed(stage: PushStage, base: StagedImage): Promise<StagedImage> {
  const content = randomFillSync(new Uint8Array(TOP_BYTES));
  return await stage.withLayer(base, await buildLayer({ entries: [{ name: "app", content }] }));
}

function createCommand(made: {
  readonly binary: string;
  readonly root: string;
  readonly at: string;
}): readonly string[] {
  // Every layer is read, as curl does.
  const flags = ["--push", "--min-layer-size", "0", "--root", made.root];
  return [made.binary, "create", ...flags, `${made.at}:latest`];
}

function timeFigures(
  sides: readonly SideReport[],
  limit: { readonly floor: number; readonly aim: number },
): readonly Figure[] {
  const [ours, curl] = [wallsOf(sides, OURS), wallsOf(sides, CURL)];
  const target = { ...limit, isLimit: true };
  return [
    {
      what: "time of the download's, medians",
      value: medianOf(ours) / medianOf(curl),
      unit: "x",
      target,
    },
    { what: "… least", value: minimumOf(ours) / minimumOf(curl), unit: "x" },
  ];
}

function memoryFigure(sides: readonly SideReport[]): Figure {
  return {
    what: "peak memory",
    value: (peakRssOf(sides, OURS) ?? Number.NaN) / MiB,
    unit: "MiB",
    target: { floor: 150, aim: 120, isLimit: true },
  };
}

function wallsOf(sides: readonly SideReport[], label: string): readonly number[] {
  const side = sides.find((one) => one.label === label);
  return side?.samples.map(({ wallSeconds }) => wallSeconds) ?? [];
}

function describe({ layers }: StagedImage): string {
  return `${(bytesOf(layers) / 1e6).toFixed(0)} MB compressed, layers: ${layers.length}`;
}
