import { rm } from "node:fs/promises";
import { tempDir } from "../support/temp-dir.ts";
import type { Bench } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { TAG, writeLayerLayout } from "./image-of-layers.ts";
import { describeLayer } from "./layer-supply.ts";
import { allowedCpus } from "./machine.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

const LAYERS = 4;

export const coresBench: Bench = {
  name: "cores",
  summary: "create of an image of four equal layers, on two cores against one",
  async *run({ runs, signal, layers, binary, onSample }) {
    const [first, second] = await allowedCpus();
    if (first === undefined || second === undefined) {
      throw new Error("Cannot compare two cores with one: this machine has one");
    }
    await using dir = await tempDir();
    const equal = await layers.equal(dir.path, LAYERS);
    const layout = dir.join("layout");
    await writeLayerLayout(layout, equal, signal);
    const sides = await runByTurns(
      [
        side("two cores", `${first},${second}`, "the built binary, taskset to two cores"),
        side("one core", String(first), "the built binary, taskset to one core"),
      ],
      { runs, onSample },
    );
    yield {
      name: "cores",
      title: this.summary,
      input: equal.map(describeLayer).join("; "),
      sides,
      figures: [
        compareSides(sides, {
          ours: "two cores",
          baseline: "one core",
          target: { floor: 1.7, aim: 1.9 },
        }),
      ],
    };

    function side(label: string, cpuList: string, includes: string): Side {
      const measure: Side["measure"] = async (run) => {
        const root = dir.join(`root-${run}`);
        const create = [binary, "create", `oci:${layout}:${TAG}`, "--root", root];
        const command = ["taskset", "--cpu-list", cpuList, ...create, "--min-layer-size", "0"];
        const sample = await measureCommand(command, { signal });
        await rm(root, { recursive: true });
        return sample;
      };
      return { label, includes, measure };
    }
  },
};
