import { stat } from "node:fs/promises";
import { tempDir } from "../support/temp-dir.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { compareSides, peakRssOf } from "./compare-sides.ts";
import { GUNZIP_AND_HASH, gunzipAndHash } from "./gunzip-and-hash.ts";
import type { LayerFile } from "./layer-file.ts";
import { describeLayer } from "./layer-supply.ts";
import type { RowReport } from "./row-report.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

const MiB = 1024 * 1024;
const TINY_FILES = 1_000_000;
const SPAN_SIZES = ["64KiB", "1MiB", "4MiB"];
const MOST_RUNS = 3;
const OURS = "ztoc create";
const RUNTIME = "runtime alone";

export const memoryBench: Bench = {
  name: "memory",
  summary: "peak memory of ztoc create beyond the zTOC's size",
  async *run(context) {
    if (Bun.which("time") === null) {
      throw new Error("Cannot measure memory: GNU time is not installed (Debian: time)");
    }
    const layer = await context.layers.real();
    for (const spanSize of SPAN_SIZES) {
      yield await measure(layer, { name: `memory-${spanSize}`, spanSize }, context);
    }
    await using dir = await tempDir();
    const tiny = await context.layers.tinyFiles(dir.path, TINY_FILES);
    yield await measure(tiny, { name: "memory-1M-files", spanSize: "4MiB" }, context);
  },
};

async function measure(
  layer: LayerFile,
  { name, spanSize }: { readonly name: string; readonly spanSize: string },
  { binary, signal, runs, onSample }: BenchContext,
): Promise<RowReport> {
  await using dir = await tempDir();
  const output = dir.join("layer.ztoc");
  const command = [binary, "ztoc", "create", layer.path];
  command.push("--span-size", spanSize, "--output", output);
  const sides = await runByTurns(
    [
      {
        label: OURS,
        includes: "the built binary; the kernel's peak of resident memory",
        measure: () => measureCommand(command, { signal }),
      },
      {
        label: RUNTIME,
        includes: "sociable --version: what the executable takes to start",
        measure: () => measureCommand([binary, "--version"], { signal }),
      },
      gunzipAndHash(layer.path, signal),
    ],
    { runs: Math.min(runs, MOST_RUNS), warmUp: false, onSample },
  );
  const { size } = await stat(output);
  const beyond = ((peakRssOf(sides, OURS) ?? Number.NaN) - size) / MiB;
  return {
    name,
    title: `${memoryBench.summary}, spans of ${spanSize}`,
    input: describeLayer(layer),
    sides,
    figures: [
      {
        what: "peak beyond the zTOC's size",
        value: beyond,
        unit: "MiB",
        target: { floor: 110, aim: 80, isLimit: true },
      },
      { what: "size of the zTOC", value: size / MiB, unit: "MiB" },
      compareSides(sides, { ours: OURS, baseline: GUNZIP_AND_HASH }),
    ],
    // With small spans the peak is below the zTOC's size.
    notes: ["checkpoints wait in an unlinked file of the output's directory, not in memory"],
  };
}
