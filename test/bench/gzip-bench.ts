import { join } from "node:path";
import type { Bench } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { describeLayer } from "./layer-supply.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

const MAIN = join(import.meta.dirname, "inflate-file-main.ts");

export const gzipBench: Bench = {
  name: "gzip",
  summary: "WebAssembly engine, whole process, against gzip -dc and libdeflate-gzip -dc",
  async *run({ runs, signal, layers, onSample }) {
    const layer = await layers.real();
    const hasLibdeflate = Bun.which("libdeflate-gzip") !== null;
    const native: Side[] = [
      side("gzip", ["gzip", "-dc", layer.path], "CRC-32; output written to /dev/null"),
    ];
    if (hasLibdeflate) {
      native.push(
        side(
          "libdeflate-gzip",
          ["libdeflate-gzip", "-dc", layer.path],
          "CRC-32; all of the output in memory at once, then written to /dev/null",
        ),
      );
    }
    const sides = await runByTurns(
      [
        side("engine", ours("engine"), "start of Bun; file read by 256 KiB; no CRC-32, no output"),
        side("engine+crc", ours("gzip"), "the same with GzipDecoder: headers, CRC-32, trailers"),
        ...native,
      ],
      { runs, onSample },
    );
    const targets = new Map([
      ["gzip", { floor: 3, aim: 4 }],
      ["libdeflate-gzip", { floor: 0.8, aim: 1 }],
    ]);
    yield {
      name: "gzip",
      title: this.summary,
      input: describeLayer(layer),
      sides,
      figures: native.flatMap(({ label }) => {
        const target = targets.get(label);
        return ["engine", "engine+crc"].flatMap((one) => [
          compareSides(sides, {
            ours: one,
            baseline: label,
            ...(target === undefined ? {} : { target }),
          }),
          compareSides(sides, { ours: one, baseline: label, by: "CPU" }),
        ]);
      }),
      notes: hasLibdeflate ? [] : ["libdeflate-gzip is not installed (Debian: libdeflate-tools)"],
    };

    function ours(kind: string): string[] {
      return [process.execPath, MAIN, kind, layer.path];
    }
    function side(label: string, command: readonly string[], includes: string): Side {
      // A shell, so that output goes to /dev/null and not through a pipe to this process.
      const quiet = ["sh", "-c", 'exec "$@" >/dev/null', "sh", ...command];
      return { label, includes, measure: () => measureCommand(quiet, { signal }) };
    }
  },
};
