import { join } from "node:path";
import type { Bench, BenchContext } from "./bench-context.ts";
import { largestFile } from "./cold-files.ts";
import { dropCaches } from "./drop-caches.ts";
import { describeLayer } from "./layer-supply.ts";
import { type MountPair, openMountPair } from "./mount-pair.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { readerCommand, timesOf } from "./reader-command.ts";
import type { Figure, FigureUnit, RowReport, SideReport, Target } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { runCommand } from "./run-command.ts";
import type { Sample } from "./sample.ts";
import { medianOf, percentileOf } from "./statistics.ts";

const LARGE_BYTES = 110e6;
const PER_BYTES = 100e6;
const BLOCKS = 2000;
const OURS = "mounted, all local";
const OVERLAY = "overlayfs, unpacked";
const LIMIT = { isLimit: true } as const;

/** What is done on both file systems, and what of it is asked. */
interface WarmTask {
  readonly name: string;
  readonly title: string;
  readonly command: (directory: string) => readonly string[];
  /** Whether the kernel's caches are dropped before each run; otherwise the run before has filled them. */
  readonly isDropped: boolean;
  readonly target: Target;
  /** What the wall time is multiplied with. */
  readonly scale?: number;
}

export const mountWarmBench: Bench = {
  name: "mount-warm",
  summary: "a mounted image that is all local, against the same unpacked, under overlayfs",
  async *run(context) {
    const layer = await context.layers.real();
    await using pair = await openMountPair(layer, context);
    const large = largestFile(await pair.stage.ztocOf(layer), { most: LARGE_BYTES });
    const input = describeLayer(layer);
    yield await randomBlocks(pair, { context, input, path: large.path });
    for (const task of tasks(large)) yield await measureTask(task, pair, { context, input });
  },
};

function tasks({
  path,
  size,
}: {
  readonly path: string;
  readonly size: number;
}): readonly WarmTask[] {
  const find = { command: (dir: string) => ["find", dir] };
  const list = (dir: string) => ["sh", "-c", 'ls -lR "$0" >/dev/null', dir];
  // To a pipe: tar does not read what it would write to /dev/null.
  const tar = (dir: string) => ["sh", "-c", 'tar -C "$0" -cf - . | cat >/dev/null', dir];
  const cat = (dir: string) => ["sh", "-c", 'exec cat "$0" >/dev/null', join(dir, path)];
  return [
    {
      name: "large",
      title: "100 MB of a file, page cache dropped",
      command: cat,
      isDropped: true,
      target: { floor: 0.13, aim: 0.08, ...LIMIT },
      scale: PER_BYTES / size,
    },
    {
      name: "find",
      title: "find, first",
      ...find,
      isDropped: true,
      target: { floor: 0.8, aim: 0.4, ...LIMIT },
    },
    {
      name: "find-again",
      title: "find, again",
      ...find,
      isDropped: false,
      target: { floor: 0.08, aim: 0.065, ...LIMIT },
    },
    {
      name: "ls",
      title: "ls -lR, first",
      command: list,
      isDropped: true,
      target: { floor: 2.5, aim: 1.2, ...LIMIT },
    },
    {
      name: "tar",
      title: "tar c of all, page cache dropped",
      command: tar,
      isDropped: true,
      target: { floor: 7, aim: 5, ...LIMIT },
    },
    {
      name: "tar-warm",
      title: "tar c of all, again",
      command: tar,
      isDropped: false,
      target: { floor: 1.5, aim: 1.1, ...LIMIT },
    },
  ];
}

async function measureTask(
  { name, title, command, isDropped, target, scale = 1 }: WarmTask,
  pair: MountPair,
  { context, input }: { readonly context: BenchContext; readonly input: string },
): Promise<RowReport> {
  const { runs, signal, onSample } = context;
  const measure = async (directory: string): Promise<Sample> => {
    if (isDropped) await dropCaches();
    const before = cpuSecondsOf(pair.mount.pid);
    const {
      stdout: _,
      maxRssBytes: __,
      ...sample
    } = await runCommand(command(directory), { signal });
    return { ...sample, cpuSeconds: sample.cpuSeconds + cpuSecondsOf(pair.mount.pid) - before };
  };
  const sides = await runByTurns(bothSides(pair, measure), { runs, warmUp: !isDropped, onSample });
  return {
    name: `mount-${name}`,
    title: `${title}: ${mountWarmBench.summary}`,
    input,
    sides,
    figures: [
      figureOf(OURS, wallsOf(sides, OURS), { unit: "s", scale, target }),
      figureOf(OVERLAY, wallsOf(sides, OVERLAY), { unit: "s", scale }),
    ],
  };
}

async function randomBlocks(
  pair: MountPair,
  {
    context,
    input,
    path,
  }: { readonly context: BenchContext; readonly input: string; readonly path: string },
): Promise<RowReport> {
  const { runs, signal, onSample } = context;
  const percentiles = new Map(
    [OURS, OVERLAY].map((label) => [label, { p50: [] as number[], p99: [] as number[] }]),
  );
  const measure = async (directory: string, label: string): Promise<Sample> => {
    await dropCaches();
    const before = cpuSecondsOf(pair.mount.pid);
    const command = readerCommand("random", join(directory, path), String(BLOCKS));
    const { stdout } = await runCommand(command, { signal });
    const times = timesOf(stdout).map((ms) => ms * 1000);
    percentiles.get(label)?.p50.push(percentileOf(times, 0.5));
    percentiles.get(label)?.p99.push(percentileOf(times, 0.99));
    return {
      wallSeconds: times.reduce((sum, micros) => sum + micros, 0) / 1e6,
      cpuSeconds: cpuSecondsOf(pair.mount.pid) - before,
    };
  };
  const sides = await runByTurns(bothSides(pair, measure), { runs, warmUp: false, onSample });
  const of = (label: string, which: "p50" | "p99"): number =>
    medianOf(percentiles.get(label)?.[which] ?? []);
  return {
    name: "mount-random",
    title: `${BLOCKS} random blocks of 4 KiB, page cache dropped: ${mountWarmBench.summary}`,
    input,
    sides,
    figures: [
      {
        what: "p50 beyond overlayfs",
        value: of(OURS, "p50") - of(OVERLAY, "p50"),
        unit: "µs",
        target: { floor: 95, aim: 70, isLimit: true },
      },
      { what: "p50", value: of(OURS, "p50"), unit: "µs" },
      { what: "p99", value: of(OURS, "p99"), unit: "µs" },
      { what: "p50, overlayfs", value: of(OVERLAY, "p50"), unit: "µs" },
      { what: "p99, overlayfs", value: of(OVERLAY, "p99"), unit: "µs" },
    ],
    notes: ["the sum of the reads as wall time; CPU of the mount alone"],
  };
}

function bothSides(
  { mount, overlay }: MountPair,
  measure: (directory: string, label: string) => Promise<Sample>,
) {
  return [
    {
      label: OURS,
      includes: "sociable mount; CPU of the reader and of the mount",
      measure: () => measure(mount.directory, OURS),
    },
    {
      label: OVERLAY,
      includes: "the layer unpacked by tar, one directory below an empty one",
      measure: () => measure(overlay, OVERLAY),
    },
  ];
}

function wallsOf(sides: readonly SideReport[], label: string): readonly number[] {
  return (sides.find((side) => side.label === label)?.samples ?? []).map(
    ({ wallSeconds }) => wallSeconds,
  );
}

function figureOf(
  label: string,
  values: readonly number[],
  {
    unit,
    scale,
    target,
  }: { readonly unit: FigureUnit; readonly scale: number; readonly target?: Target },
): Figure {
  return {
    what: `${label}, median`,
    value: medianOf(values) * scale,
    unit,
    ...(target === undefined ? {} : { target }),
  };
}
