import type { Bench, BenchContext } from "./bench-context.ts";
import { countRounds } from "./count-rounds.ts";
import { GIGABIT_BYTES } from "./mount-stage.ts";
import { type RecordedRequest, RequestRecorder } from "./request-recorder.ts";
import type { Figure, RowReport, SideReport, Target } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import { CTR, LAZY, OVERLAY, peerKinds, ServeWorld, type WorldKind } from "./serve-world.ts";
import { medianOf, minimumOf } from "./statistics.ts";

const BEYOND: Target = { floor: 600, aim: 300, isLimit: true };
const FURTHER_LAYERS = 31;

export const servePullBench: Bench = {
  name: "serve-pull",
  summary: "pull until a container can start, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    await using stage = await ServeStage.open({ context });
    const pulls: Pulls = { stage, context, kinds: [LAZY, OVERLAY, CTR, ...peerKinds(context)] };
    const one = await measurePulls(SERVE_IMAGES.one, pulls);
    yield one.row;
    const many = await measurePulls(SERVE_IMAGES.many, pulls);
    yield many.row;
    const small = await measurePulls(SERVE_IMAGES.small, { ...pulls, kinds: [LAZY] });
    yield small.row;
    const large = await measurePulls(SERVE_IMAGES.large, { ...pulls, kinds: [LAZY] });
    yield large.row;
    yield {
      name: "serve-pull-extra",
      title: "what layers and sizes add, beyond the zTOCs' bytes on the line",
      input: "the four images above, medians and the fastest runs",
      sides: [],
      figures: [
        {
          what: "each further layer, median",
          value: (many.medianMs - one.medianMs) / FURTHER_LAYERS,
          unit: "ms",
          target: { floor: 2, aim: 1, isLimit: true },
        },
        {
          what: "… least",
          value: (many.leastMs - one.leastMs) / FURTHER_LAYERS,
          unit: "ms",
        },
        {
          what: "1.3 GB against 100 MB, median",
          value: large.medianMs / small.medianMs,
          unit: "x",
          target: { floor: 1.1, aim: 1.05, isLimit: true },
        },
        { what: "… least", value: large.leastMs / small.leastMs, unit: "x" },
      ],
    };
  },
};

interface Pulls {
  readonly stage: ServeStage;
  readonly context: BenchContext;
  readonly kinds: readonly WorldKind[];
}

interface MeasuredPulls {
  readonly row: RowReport;
  /** Beyond the zTOCs' time on the line. */
  readonly medianMs: number;
  readonly leastMs: number;
}

async function measurePulls(
  image: string,
  { stage, context, kinds }: Pulls,
): Promise<MeasuredPulls> {
  const { runs, onSample } = context;
  const { ztocBytes, layerBytes } = await stage.sizesOf(image);
  await using recorder = await RequestRecorder.start(stage.line.host);
  const asked = new Map<string, readonly RecordedRequest[]>();
  const sides = await runByTurns(
    kinds.map((kind) => ({
      label: kind.label,
      includes: `${kind.includes}; all stores empty`,
      measure: async (run) => {
        // Not past the recorder where time counts: it has its part of this process.
        const { host } = run < 0 ? recorder : stage.line;
        await using world = await ServeWorld.start({ context, stage, kind });
        recorder.take();
        const sample = await world.pull(serveImageAt(host, image));
        if (run < 0) asked.set(kind.label, recorder.take());
        return sample;
      },
    })),
    { runs, onSample },
  );
  const wireMs = (ztocBytes / GIGABIT_BYTES) * 1000;
  const wallMs = wallsOf(sides, LAZY.label).map((seconds) => seconds * 1000);
  const medianMs = medianOf(wallMs) - wireMs;
  const leastMs = minimumOf(wallMs) - wireMs;
  const row: RowReport = {
    name: `serve-pull-${image}`,
    title: servePullBench.summary,
    input: `bench/${image}: ${mega(layerBytes)} of layers, ${mega(ztocBytes)} of zTOCs`,
    sides,
    figures: [
      {
        what: "beyond the zTOCs' time on the line, median",
        value: medianMs,
        unit: "ms",
        target: BEYOND,
      },
      { what: "… least", value: leastMs, unit: "ms" },
      ...kinds.flatMap(({ label }) => requestFigures(label, asked.get(label) ?? [])),
      ...kinds.slice(1).map(({ label }) => ({
        what: `${LAZY.label} against ${label}, medians`,
        value: medianOf(wallsOf(sides, label)) / medianOf(wallsOf(sides, LAZY.label)),
        unit: "x" as const,
      })),
    ],
    notes: ["rounds: the longest chain of requests of which each begins after one has ended"],
  };
  return { row, medianMs, leastMs };
}

function requestFigures(label: string, requests: readonly RecordedRequest[]): readonly Figure[] {
  return [
    { what: `${label}: requests`, value: requests.length, unit: "requests" },
    { what: `${label}: one after another`, value: countRounds(requests), unit: "rounds" },
  ];
}

function wallsOf(sides: readonly SideReport[], label: string): readonly number[] {
  const side = sides.find((one) => one.label === label);
  if (side === undefined) throw new Error(`there is no side "${label}"`);
  return side.samples.map(({ wallSeconds }) => wallSeconds);
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
