import { rm } from "node:fs/promises";
import type { Bench } from "./bench-context.ts";
import { peakRssOf } from "./compare-sides.ts";
import { bytesOf, PushStage, type StagedImage } from "./push-stage.ts";
import { type RecordedRequest, RequestRecorder } from "./request-recorder.ts";
import type { Figure, SideReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";
import { SERVE_IMAGES } from "./serve-stage.ts";
import { medianOf } from "./statistics.ts";

const WITHIN = "within the repository";
const ACROSS = "to another repository";
const CURL = "curl";
const MiB = 1024 * 1024;

export const convertBench: Bench = {
  name: "convert",
  summary: "convert from a registry to the same registry, 10 ms a request, 1 Gbit/s",
  async *run(context) {
    const { binary, runs, onSample, signal } = context;
    await using stage = await PushStage.open(context, [SERVE_IMAGES.large]);
    const image = await stage.imageOf(`bench/${SERVE_IMAGES.large}`);
    const convert = async (host: string, label: string) => {
      const { repository } = await stage.inFreshRepository(image);
      const to = label === WITHIN ? repository : stage.freshName();
      const root = stage.dir.join("root");
      const names = [`${host}/${repository}:latest`, `${host}/${to}:soci`];
      const sample = await measureCommand([binary, "convert", "--root", root, ...names], {
        signal,
      });
      await rm(root, { recursive: true, force: true });
      return sample;
    };
    const labels = [WITHIN, ACROSS];
    const sides = await runByTurns(
      [
        ...labels.map((label) => ({
          label,
          includes: "an empty local store, a repository with the image alone",
          measure: () => convert(stage.line.host, label),
        })),
        {
          label: CURL,
          includes: "the layers alone, a connection each; nothing checked, bytes dropped",
          measure: () =>
            measureCommand(stage.curlBlobs(image.repository, image.layers), { signal }),
        },
      ],
      { runs, onSample },
    );
    await using recorder = await RequestRecorder.start(stage.host);
    const counts: Figure[] = [];
    for (const label of labels) {
      recorder.take();
      await convert(recorder.host, label);
      counts.push(...countsOf(label, { requests: recorder.take(), image }));
    }
    yield {
      name: "convert",
      title: "convert within a registry, 10 ms a request, 1 Gbit/s",
      input: `${(bytesOf(image.layers) / 1e6).toFixed(0)} MB compressed, layers: ${image.layers.length}`,
      sides,
      figures: [...counts, ...labels.flatMap((label) => sideFigures(sides, label))],
      notes: ["Bytes sent are zTOCs, configs and manifests; counted in a run of its own."],
    };
  },
};

function countsOf(
  label: string,
  made: { readonly requests: readonly RecordedRequest[]; readonly image: StagedImage },
): readonly Figure[] {
  const digests = made.image.layers.map(({ digest }) => digest);
  const read = made.requests
    .filter(({ head }) => digests.some((digest) => head.split("\r\n", 1)[0]?.includes(digest)))
    .filter(({ head }) => head.startsWith("GET "))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  const sent = made.requests
    .filter(({ head }) => /^(?:POST|PATCH|PUT) /.test(head))
    .reduce((sum, { head }) => sum + sentBytes(head), 0);
  return [
    {
      what: `${label}: bytes read of the layers'`,
      value: read / bytesOf(made.image.layers),
      unit: "x",
      target: { floor: 1.01, aim: 1.001, isLimit: true },
    },
    { what: `${label}: sent`, value: sent / 1e6, unit: "MB" },
  ];
}

/** @throws where the request does not say how long it is: then nothing is known */
function sentBytes(head: string): number {
  if (/^transfer-encoding:/im.test(head)) throw new Error(`a body without a length: ${head}`);
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
}

function sideFigures(sides: readonly SideReport[], label: string): readonly Figure[] {
  const median = (name: string): number =>
    medianOf(sides.find((side) => side.label === name)?.samples.map((s) => s.wallSeconds) ?? []);
  return [
    { what: `${label}: time of the download's`, value: median(label) / median(CURL), unit: "x" },
    {
      what: `${label}: peak memory`,
      value: (peakRssOf(sides, label) ?? Number.NaN) / MiB,
      unit: "MiB",
    },
  ];
}
