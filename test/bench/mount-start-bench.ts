import type { TempDir } from "../support/temp-dir.ts";
import { tempDir } from "../support/temp-dir.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { countRounds } from "./count-rounds.ts";
import type { LayerFile } from "./layer-file.ts";
import { describeLayer } from "./layer-supply.ts";
import { DELAY_MS, GIGABIT_BYTES, imageAt, MountStage } from "./mount-stage.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { type RecordedRequest, RequestRecorder } from "./request-recorder.ts";
import type { RowReport, SideReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";
import { medianOf, minimumOf } from "./statistics.ts";

const LAYER_COUNTS = [1, 8, 32];
const FILES_A_LAYER = 100;
const RUNTIME = "runtime alone";
const FLOOR_ROUNDS = 6;
const AIM_ROUNDS = 4;
const FLOOR_MS = 300;
const AIM_MS = 100;

export const mountStartBench: Bench = {
  name: "mount-start",
  summary: "mount to first ls -l /, cold, indexed image, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    await using dir = await tempDir();
    const real = await context.layers.real();
    const small = await smallLayers(dir, context);
    const beyond = new Map<number, number>();
    for (const count of LAYER_COUNTS) {
      const layers = [real, ...small.slice(0, count - 1)];
      const { row, leastMs } = await measureStart(layers, context);
      beyond.set(count, leastMs);
      yield row;
    }
    const [least = 1] = LAYER_COUNTS;
    const most = LAYER_COUNTS.at(-1) ?? least;
    const extra = ((beyond.get(most) ?? 0) - (beyond.get(least) ?? 0)) / (most - least);
    yield {
      name: "mount-start-extra",
      title: "each further layer, beyond its zTOC on the line",
      input: `${most} layers against ${least}, the fastest runs`,
      sides: [],
      figures: [
        {
          what: "extra layer",
          value: extra,
          unit: "ms",
          target: { floor: 2, aim: 1, isLimit: true },
        },
      ],
    };
  },
};

/** All different, and all with the same names: each hides files of those below. */
async function smallLayers(dir: TempDir, { layers }: BenchContext): Promise<readonly LayerFile[]> {
  const most = Math.max(...LAYER_COUNTS);
  const small: LayerFile[] = [];
  for (let i = 1; i < most; i++) {
    small.push(await layers.tinyFiles(dir.join(`layer-${i}`), FILES_A_LAYER + i));
  }
  return small;
}

async function measureStart(
  layers: readonly LayerFile[],
  context: BenchContext,
): Promise<{ readonly row: RowReport; readonly leastMs: number }> {
  const { runs, signal, binary, onSample } = context;
  await using stage = await MountStage.open({ context, layers });
  await using recorder = await RequestRecorder.start(stage.line.host);
  let asked: readonly RecordedRequest[] = [];
  const ours = `${layers.length} layers`;
  const sides = await runByTurns(
    [
      {
        label: ours,
        includes: "from the start of the process to the end of ls -l; its state root is empty",
        measure: async (run) => {
          recorder.take();
          // Not past the recorder where time counts: it has its part of this process.
          const { host } = run < 0 ? recorder : stage.line;
          await using mount = await stage.mount({ image: imageAt(host) });
          await measureCommand(["ls", "-l", mount.directory], { signal });
          const wallSeconds = (performance.now() - mount.startedMs) / 1000;
          if (run < 0) asked = recorder.take();
          return { wallSeconds, cpuSeconds: cpuSecondsOf(mount.pid) };
        },
      },
      {
        label: RUNTIME,
        includes: "sociable --version",
        measure: () => measureCommand([binary, "--version"], { signal }),
      },
    ],
    { runs, onSample },
  );
  const wireMs = (stage.ztocBytes / GIGABIT_BYTES) * 1000;
  const wallMs = wallsOf(sides, ours).map((seconds) => seconds * 1000);
  const beyondMs = medianOf(wallMs) - wireMs;
  const rounds = countRounds(asked);
  const leastMs = minimumOf(wallMs) - wireMs;
  const row: RowReport = {
    name: `mount-start-${layers.length}`,
    title: mountStartBench.summary,
    input: `${layers.slice(0, 1).map(describeLayer).join("; ")}; ${layers.length - 1} small layers above; zTOCs of ${(stage.ztocBytes / 1e6).toFixed(2)} MB`,
    sides,
    figures: [
      {
        what: "beyond the zTOCs' time on the line, median",
        value: beyondMs,
        unit: "ms",
        target: {
          floor: FLOOR_ROUNDS * DELAY_MS + FLOOR_MS,
          aim: AIM_ROUNDS * DELAY_MS + AIM_MS,
          isLimit: true,
        },
      },
      { what: "… least", value: leastMs, unit: "ms" },
      {
        what: "requests one after another",
        value: rounds,
        unit: "rounds",
        target: { floor: FLOOR_ROUNDS, aim: AIM_ROUNDS, isLimit: true },
      },
      {
        what: "beyond these rounds and the zTOCs' time, median",
        value: beyondMs - rounds * DELAY_MS,
        unit: "ms",
        target: { floor: FLOOR_MS, aim: AIM_MS, isLimit: true },
      },
      { what: "requests", value: asked.length, unit: "requests" },
    ],
    notes: ["rounds: the longest chain of requests of which each begins after one has ended"],
  };
  return { row, leastMs };
}

function wallsOf(sides: readonly SideReport[], label: string): readonly number[] {
  const side = sides.find((one) => one.label === label);
  if (side === undefined) throw new Error(`there is no side "${label}"`);
  return side.samples.map(({ wallSeconds }) => wallSeconds);
}
