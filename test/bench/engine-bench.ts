import { join } from "node:path";
import type { Bench, BenchContext } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { describeLayer } from "./layer-supply.ts";
import type { Figure } from "./row-report.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { runCommand } from "./run-command.ts";
import type { Sample } from "./sample.ts";
import { medianOf } from "./statistics.ts";

const PASSES = 3;
const MAIN = join(import.meta.dirname, "inflate-passes-main.ts");
const FROM_MEMORY =
  "fresh process; after a pass to warm up, the median of 3 over bytes in memory; raw inflate, no CRC-32, nobody reads the output";

export const engineBench: Bench = {
  name: "engine",
  summary: "WebAssembly engine against pako",
  async *run(context) {
    const layer = await context.layers.real();
    const outputBytes = layer.uncompressedSize;
    const sides = await runByTurns(
      [
        side("wasm", `WasmEngine; ${FROM_MEMORY}`),
        side("pako", `pako's own inflate, which never stops at block boundaries; ${FROM_MEMORY}`),
        side("pako-engine", `PakoEngine: pako with stops at block boundaries; ${FROM_MEMORY}`),
      ],
      // Each process warms up by itself.
      { runs: context.runs, warmUp: false, onSample: context.onSample },
    );
    const throughputs = sides.map(({ label, samples }): Figure => {
      const seconds = medianOf(samples.map(({ wallSeconds }) => wallSeconds));
      return { what: `${label}, output`, value: outputBytes / 1e6 / seconds, unit: "MB/s" };
    });
    yield {
      name: "engine",
      title: this.summary,
      input: describeLayer(layer),
      sides,
      figures: [
        compareSides(sides, { ours: "wasm", baseline: "pako", target: { floor: 3, aim: 3.6 } }),
        compareSides(sides, { ours: "wasm", baseline: "pako-engine" }),
        ...throughputs,
      ],
    };

    function side(label: string, includes: string): Side {
      return { label, includes, measure: () => measurePasses(label, layer.path, context) };
    }
  },
};

async function measurePasses(
  engine: string,
  path: string,
  { signal }: BenchContext,
): Promise<Sample> {
  const command = [process.execPath, MAIN, engine, path, String(PASSES)];
  const { stdout, maxRssBytes } = await runCommand(command, { signal });
  const { samples } = JSON.parse(new TextDecoder().decode(stdout)) as {
    readonly samples: readonly Sample[]; // of our own program
  };
  return {
    wallSeconds: medianOf(samples.map(({ wallSeconds }) => wallSeconds)),
    cpuSeconds: medianOf(samples.map(({ cpuSeconds }) => cpuSeconds)),
    ...(maxRssBytes === undefined ? {} : { maxRssBytes }),
  };
}
