import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bench, BenchContext } from "./bench-context.ts";
import { type ColdFile, coldFiles, largestFile } from "./cold-files.ts";
import { dropCaches } from "./drop-caches.ts";
import { describeLayer } from "./layer-supply.ts";
import { blobAt, DELAY_MS, GIGABIT_BYTES, MountStage } from "./mount-stage.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { timeFiles } from "./reader-command.ts";
import type { Figure, RowReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import { medianOf, minimumOf, percentileOf } from "./statistics.ts";

const FILE_BYTES = 20_000;
const FILES = 100;
const MOST_BATCHES = 3;
const LARGE_BYTES = 110e6;
const PER_BYTES = 100e6;
const OURS = "mounted, cold";
const BESIDE_FILL = "… beside a fill";
const LINE = "the line alone";
const ALL = "mount --wait";
const UNPACKED = "curl, tar -xz";

export const mountColdBench: Bench = {
  name: "mount-cold",
  summary: "cold reads of a mounted image, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    const layer = await context.layers.real();
    await using stage = await MountStage.open({ context, layers: [layer] });
    const ztoc = await stage.ztocOf(layer);
    const cold: ColdReads = {
      stage,
      context,
      input: describeLayer(layer),
      url: blobAt(stage.line.host, layer),
      blobBytes: layer.compressedSize,
    };
    yield await smallFiles(cold, coldFiles(ztoc, { size: FILE_BYTES, most: FILES }));
    yield await largeFile(cold, largestFile(ztoc, { most: LARGE_BYTES }));
    yield await fillAll(cold);
  },
};

interface ColdReads {
  readonly stage: MountStage;
  readonly context: BenchContext;
  readonly input: string;
  /** Of the layer's blob, at the end of the line. */
  readonly url: string;
  readonly blobBytes: number;
}

async function smallFiles(
  { stage, context, input, url }: ColdReads,
  files: readonly ColdFile[],
): Promise<RowReport> {
  const { runs, signal, onSample } = context;
  const times = new Map([OURS, BESIDE_FILL, LINE].map((label) => [label, [] as number[]]));
  const keep = (label: string, batch: readonly number[]) => {
    times.get(label)?.push(...batch);
    const wallSeconds = batch.reduce((sum, ms) => sum + ms, 0) / 1000;
    return { wallSeconds };
  };
  const readThrough = async (
    label: string,
    { flags, order }: { readonly flags: readonly string[]; readonly order: readonly ColdFile[] },
  ) => {
    await using mount = await stage.mount({ flags });
    const paths = order.map(({ path }) => join(mount.directory, path));
    const before = cpuSecondsOf(mount.pid);
    const batch = await timeFiles(paths, { list: stage.dir.join("files"), signal });
    const cpuSeconds = cpuSecondsOf(mount.pid) - before;
    // Those that were local already cost no round trip.
    const cold = flags.length === 0 ? batch : batch.filter((ms) => ms > DELAY_MS / 2);
    return { ...keep(label, cold), cpuSeconds };
  };
  const sides = await runByTurns(
    [
      {
        label: OURS,
        includes:
          "open, read, close in a process that does nothing else; CPU of the mount; another state root each time",
        measure: () => readThrough(OURS, { flags: [], order: files }),
      },
      {
        label: BESIDE_FILL,
        includes:
          "the same while all of the image is being fetched, last spans first; files that are local by then left out",
        measure: () =>
          readThrough(BESIDE_FILL, {
            flags: ["--fill"],
            order: files.toSorted((a, b) => b.compressedStart - a.compressedStart),
          }),
      },
      {
        label: LINE,
        includes: "curl of the files' spans, one after another on one connection",
        measure: async () => {
          const config = stage.dir.join("curl");
          await writeFile(config, curlConfig(url, files));
          const { stdout, cpuSeconds } = await runCommand(
            ["curl", "--silent", "--fail", "--config", config],
            { signal },
          );
          const batch = new TextDecoder().decode(stdout).trim().split("\n");
          return {
            ...keep(
              LINE,
              batch.map((seconds) => Number(seconds) * 1000),
            ),
            cpuSeconds,
          };
        },
      },
    ],
    { runs: Math.min(runs, MOST_BATCHES), warmUp: false, onSample },
  );
  const of = (label: string): readonly number[] => times.get(label) ?? [];
  const median = medianOf(of(OURS));
  return {
    name: "mount-cold-small",
    title: `a file of ${FILE_BYTES / 1000} KB of a span that is not local, ${mountColdBench.summary}`,
    input: `${input}; ${files.length} files in as many spans of ${meanSpan(files)} MB`,
    sides,
    figures: [
      {
        what: "read beyond a round trip, median",
        value: median - DELAY_MS,
        unit: "ms",
        target: { floor: 20, aim: 12, isLimit: true },
      },
      {
        what: "the line alone beyond a round trip, median",
        value: medianOf(of(LINE)) - DELAY_MS,
        unit: "ms",
      },
      {
        what: "read, p99",
        value: percentileOf(of(OURS), 0.99),
        unit: "ms",
        target: { floor: 2 * DELAY_MS + 60, aim: 2 * DELAY_MS, isLimit: true },
      },
      { what: "the line alone, p99", value: percentileOf(of(LINE), 0.99), unit: "ms" },
      {
        what: "median beside a fill against without",
        value: medianOf(of(BESIDE_FILL)) / median,
        unit: "x",
        target: { floor: 1.2, aim: 1.05, isLimit: true },
      },
      { what: "reads beside a fill that were cold", value: of(BESIDE_FILL).length, unit: "files" },
    ],
  };
}

async function largeFile(
  { stage, context, input, url }: ColdReads,
  file: ColdFile,
): Promise<RowReport> {
  const { runs, signal, onSample } = context;
  const range = `${file.compressedStart}-${file.compressedEnd - 1}`;
  const sides = await runByTurns(
    [
      {
        label: OURS,
        includes: "cat; CPU of the mount and of cat",
        measure: async () => {
          await using mount = await stage.mount();
          const before = cpuSecondsOf(mount.pid);
          const command = ["cat", join(mount.directory, file.path)];
          const { stdout: _, ...cat } = await runCommand(
            ["sh", "-c", 'exec "$0" "$1" >/dev/null', ...command],
            { signal },
          );
          return { ...cat, cpuSeconds: cat.cpuSeconds + cpuSecondsOf(mount.pid) - before };
        },
      },
      {
        label: LINE,
        includes: "curl of the file's spans in one request; nothing inflated",
        measure: () =>
          measureCommand(["curl", "--silent", "--range", range, "--output", "/dev/null", url], {
            signal,
          }),
      },
    ],
    { runs, warmUp: false, onSample },
  );
  const scale = PER_BYTES / file.size;
  const secondsOf = (label: string): readonly number[] =>
    (sides.find((side) => side.label === label)?.samples ?? []).map(
      ({ wallSeconds }) => wallSeconds,
    );
  return {
    name: "mount-cold-large",
    title: `a large file read from its start to its end, ${mountColdBench.summary}`,
    input: `${input}; ${Math.round(file.size / 1e6)} MB, ${Math.round((file.compressedEnd - file.compressedStart) / 1e6)} MB of spans`,
    sides,
    figures: [
      {
        what: "seconds for 100 MB, median",
        value: medianOf(secondsOf(OURS)) * scale,
        unit: "s",
        target: { floor: 0.8, aim: 0.5, isLimit: true },
      },
      { what: "… least", value: minimumOf(secondsOf(OURS)) * scale, unit: "s" },
      { what: "the line alone, least", value: minimumOf(secondsOf(LINE)) * scale, unit: "s" },
    ],
  };
}

async function fillAll({ stage, context, input, url, blobBytes }: ColdReads): Promise<RowReport> {
  const { runs, signal, onSample } = context;
  const sides = await runByTurns(
    [
      {
        label: ALL,
        includes: "from the start of the process until it says that all is local",
        measure: async () => {
          await using mount = await stage.mount({ flags: ["--wait"], until: "All of the image" });
          const wallSeconds = (performance.now() - mount.startedMs) / 1000;
          return { wallSeconds, cpuSeconds: cpuSecondsOf(mount.pid) };
        },
      },
      {
        label: UNPACKED,
        includes: "download to a file, then unpack it",
        measure: async () => {
          const { root } = await stage.fresh();
          const script =
            'mkdir "$0" && curl --silent --output "$0/blob" "$1" && mkdir "$0/fs" && tar -xzf "$0/blob" -C "$0/fs"';
          await dropCaches();
          return await measureCommand(["sh", "-c", script, root, url], { signal });
        },
      },
      {
        label: LINE,
        includes: "curl of the whole blob",
        measure: () =>
          measureCommand(["curl", "--silent", "--output", "/dev/null", url], { signal }),
      },
    ],
    { runs: Math.min(runs, MOST_BATCHES), warmUp: false, onSample },
  );
  const seconds = (label: string): number =>
    medianOf(
      (sides.find((side) => side.label === label)?.samples ?? []).map(
        ({ wallSeconds }) => wallSeconds,
      ),
    );
  const lineRate = Math.round((blobBytes / GIGABIT_BYTES) * 100) / 100;
  return {
    name: "mount-fill",
    title: `all of an image made local, ${mountColdBench.summary}`,
    input,
    sides,
    figures: [
      fillFigure("all local, median", seconds(ALL), lineRate),
      { what: "curl and tar -xz, median", value: seconds(UNPACKED), unit: "s" },
      { what: "the line alone, median", value: seconds(LINE), unit: "s" },
    ],
  };
}

function fillFigure(what: string, value: number, lineRate: number): Figure {
  return { what, value, unit: "s", target: { floor: 5, aim: lineRate, isLimit: true } };
}

function curlConfig(url: string, files: readonly ColdFile[]): string {
  return files
    .map(({ compressedStart, compressedEnd }) =>
      [
        `url = "${url}"`,
        `range = ${compressedStart}-${compressedEnd - 1}`,
        "output = /dev/null",
        'write-out = "%{time_total}\\n"',
        "silent",
      ].join("\n"),
    )
    .join("\nnext\n");
}

function meanSpan(files: readonly ColdFile[]): string {
  const bytes = files.reduce((sum, file) => sum + file.compressedEnd - file.compressedStart, 0);
  return (bytes / files.length / 1e6).toFixed(2);
}
