import type { Bench, BenchContext } from "./bench-context.ts";
import { GIGABIT_BYTES } from "./mount-stage.ts";
import type { Figure, RowReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import {
  LAZY,
  LAZY_NO_FILL,
  OVERLAY,
  peerKinds,
  ServeWorld,
  type WorldKind,
} from "./serve-world.ts";
import { TimedParts } from "./timed-parts.ts";

const NUMPY = ["/usr/bin/python3", "-c", "import numpy"];
const PANDAS = ["/usr/bin/python3", "-c", "import pandas, scipy.stats"];
const TRUE = ["/bin/true"];

/** A cold pull and the first container right behind it. */
interface ColdStart {
  readonly name: string;
  readonly title: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly kinds: readonly WorldKind[];
  figures(parts: TimedParts<Part>): readonly Figure[];
}

type Part = "pull" | "run" | "both";

export const serveNumpyBench: Bench = {
  name: "serve-numpy",
  summary: "pull, then import numpy at once, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    await using stage = await ServeStage.open({ context });
    yield await coldStart(stage, context, {
      name: this.name,
      title: this.summary,
      image: SERVE_IMAGES.one,
      args: NUMPY,
      kinds: [LAZY, LAZY_NO_FILL, OVERLAY, ...peerKinds(context)],
      figures: (parts) => [
        ...runFigures(parts, LAZY, "the container, fill as shipped", { floor: 1.8, aim: 1.1 }),
        ...runFigures(parts, LAZY_NO_FILL, "the container, fill off", { floor: 2.5, aim: 2 }),
        {
          what: "pull and container against overlayfs, medians",
          value: parts.median(OVERLAY.label, "both") / parts.median(LAZY.label, "both"),
          unit: "x",
          target: { floor: 5, aim: 8 },
        },
        {
          what: "… the fastest runs",
          value: parts.least(OVERLAY.label, "both") / parts.least(LAZY.label, "both"),
          unit: "x",
        },
      ],
    });
  },
};

export const servePandasBench: Bench = {
  name: "serve-pandas",
  summary: "pull, then import pandas and scipy.stats at once",
  async *run(context) {
    const kinds = [LAZY, OVERLAY, ...peerKinds(context)];
    const lines = [
      { delayMs: 50, megabits: 200, floor: 8, aim: 6 },
      { delayMs: 10, megabits: 1000, floor: 3.5, aim: 2.5 },
    ];
    for (const { delayMs, megabits, ...target } of lines) {
      const bytesPerSecond = (megabits / 1000) * GIGABIT_BYTES;
      await using stage = await ServeStage.open({ context, delayMs, bytesPerSecond });
      yield await coldStart(stage, context, {
        name: `${this.name}-${megabits}`,
        title: `${this.summary}, ${delayMs} ms a request, ${megabits} Mbit/s`,
        image: SERVE_IMAGES.pandas,
        args: PANDAS,
        kinds,
        figures: (parts) => [
          {
            what: "pull and container, median",
            value: parts.median(LAZY.label, "both"),
            unit: "s",
            target: { ...target, isLimit: true },
          },
          {
            what: "against overlayfs, medians",
            value: parts.median(OVERLAY.label, "both") / parts.median(LAZY.label, "both"),
            unit: "x",
          },
          {
            what: "… the fastest runs",
            value: parts.least(OVERLAY.label, "both") / parts.least(LAZY.label, "both"),
            unit: "x",
          },
        ],
      });
    }
  },
};

export const serveTrueBench: Bench = {
  name: "serve-true",
  summary: "/bin/true right behind the pull, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    await using stage = await ServeStage.open({ context });
    yield await coldStart(stage, context, {
      name: this.name,
      title: this.summary,
      image: SERVE_IMAGES.one,
      args: TRUE,
      kinds: [LAZY, OVERLAY, ...peerKinds(context)],
      figures: (parts) => runFigures(parts, LAZY, "the container", { floor: 0.45, aim: 0.35 }),
    });
  },
};

async function coldStart(
  stage: ServeStage,
  context: BenchContext,
  { name, title, image, args, kinds, figures }: ColdStart,
): Promise<RowReport> {
  const { runs, onSample } = context;
  const { layerBytes, ztocBytes } = await stage.sizesOf(image);
  const reference = serveImageAt(stage.line.host, image);
  const parts = new TimedParts<Part>();
  const sides = await runByTurns(
    kinds.map((kind) => ({
      label: kind.label,
      includes: `${kind.includes}, and ctr run; all stores empty`,
      measure: async (run) => {
        await using world = await ServeWorld.start({ context, stage, kind });
        const pull = await world.pull(reference);
        const container = await world.run(reference, args);
        const wallSeconds = pull.wallSeconds + container.wallSeconds;
        if (run >= 0) {
          parts.note(kind.label, "pull", pull.wallSeconds);
          parts.note(kind.label, "run", container.wallSeconds);
          parts.note(kind.label, "both", wallSeconds);
        }
        return { wallSeconds, cpuSeconds: pull.cpuSeconds + container.cpuSeconds };
      },
    })),
    { runs, onSample },
  );
  return {
    name,
    title,
    input: `bench/${image}: ${Math.round(layerBytes / 1e6)} MB of layers, ${(ztocBytes / 1e6).toFixed(1)} MB of zTOCs`,
    sides,
    figures: [
      ...figures(parts),
      ...kinds.flatMap(({ label }) => [
        { what: `${label}: pull, median`, value: parts.median(label, "pull"), unit: "s" as const },
        {
          what: `${label}: container, median`,
          value: parts.median(label, "run"),
          unit: "s" as const,
        },
      ]),
    ],
  };
}

function runFigures(
  parts: TimedParts<Part>,
  { label }: WorldKind,
  what: string,
  target: { readonly floor: number; readonly aim: number },
): readonly Figure[] {
  return [
    {
      what: `${what}, median`,
      value: parts.median(label, "run"),
      unit: "s",
      target: { ...target, isLimit: true },
    },
    { what: "… least", value: parts.least(label, "run"), unit: "s" },
  ];
}
