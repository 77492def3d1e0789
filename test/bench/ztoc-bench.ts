import { stat } from "node:fs/promises";
import { tempDir } from "../support/temp-dir.ts";
import type { Bench } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { GUNZIP_AND_HASH, gunzipAndHash } from "./gunzip-and-hash.ts";
import { describeLayer } from "./layer-supply.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

const MB = 1e6;

export const ztocBench: Bench = {
  name: "ztoc",
  summary: "ztoc create, whole process, against gzip -dc | sha256sum",
  async *run({ runs, signal, layers, binary, onSample }) {
    const layer = await layers.real();
    await using dir = await tempDir();
    const output = dir.join("layer.ztoc");
    const command = [binary, "ztoc", "create", layer.path, "--output", output];
    const sides = await runByTurns(
      [
        {
          label: "ztoc create",
          includes:
            "the built binary: CRC-32, tar headers, SHA-256 of each span, the zTOC written and synced",
          measure: () => measureCommand(command, { signal }),
        },
        gunzipAndHash(layer.path, signal),
      ],
      { runs, onSample },
    );
    const pair = { ours: "ztoc create", baseline: GUNZIP_AND_HASH };
    yield {
      name: "ztoc",
      title: this.summary,
      input: describeLayer(layer),
      sides,
      figures: [
        compareSides(sides, { ...pair, target: { floor: 2, aim: 3 } }),
        compareSides(sides, { ...pair, by: "CPU" }),
        { what: "size of the zTOC", value: (await stat(output)).size / MB, unit: "MB" },
      ],
    };
  },
};
