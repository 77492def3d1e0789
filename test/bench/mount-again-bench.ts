import { mkdir } from "node:fs/promises";
import { tempDir } from "../support/temp-dir.ts";
import type { Bench } from "./bench-context.ts";
import { mountOverlay } from "./bench-mount.ts";
import { compareSides } from "./compare-sides.ts";
import { describeLayer } from "./layer-supply.ts";
import { imageAt, MountStage } from "./mount-stage.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand, runCommand } from "./run-command.ts";
import { medianOf } from "./statistics.ts";

const FILES = 100_000;
const OURS = "mount again";
const OVERLAY = "overlayfs";
const RUNTIME = "runtime alone";

export const mountAgainBench: Bench = {
  name: "mount-again",
  summary: "mount to first ls -l /, all local, 100,000 files",
  async *run(context) {
    const { runs, signal, binary, onSample } = context;
    await using dir = await tempDir();
    const layer = await context.layers.tinyFiles(dir.path, FILES);
    await using stage = await MountStage.open({ context, layers: [layer] });
    const image = imageAt(stage.registry.host);
    const { root } = await stage.fresh();
    const all = ["--wait"];
    await using _first = await stage.mount({ root, image, flags: all, until: "All of the image" });
    await _first[Symbol.asyncDispose]();
    const lower = dir.join("unpacked");
    const empty = dir.join("empty");
    await Promise.all([lower, empty].map((path) => mkdir(path)));
    await runCommand(["tar", "-xzf", layer.path, "-C", lower], { signal });
    const sides = await runByTurns(
      [
        {
          label: OURS,
          includes:
            "the whole process; the registry is on this machine, and asked for the manifest",
          measure: async () => {
            await using mount = await stage.mount({ root, image });
            await measureCommand(["ls", "-l", mount.directory], { signal });
            const wallSeconds = (performance.now() - mount.startedMs) / 1000;
            return { wallSeconds, cpuSeconds: cpuSecondsOf(mount.pid) };
          },
        },
        {
          label: OVERLAY,
          includes: "mount -t overlay of the unpacked layer, and ls -l",
          measure: async () => {
            const { directory } = await stage.fresh();
            const started = performance.now();
            await using _mount = await mountOverlay(directory, { lower, empty, signal });
            const { cpuSeconds } = await measureCommand(["ls", "-l", directory], { signal });
            return { wallSeconds: (performance.now() - started) / 1000, cpuSeconds };
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
    const ours = sides.find(({ label }) => label === OURS)?.samples ?? [];
    yield {
      name: this.name,
      title: this.summary,
      input: describeLayer(layer),
      sides,
      figures: [
        {
          what: "mount again, median",
          value: medianOf(ours.map(({ wallSeconds }) => wallSeconds * 1000)),
          unit: "ms",
          target: { floor: 300, aim: 100, isLimit: true },
        },
        compareSides(sides, { ours: OURS, baseline: OVERLAY }),
      ],
    };
  },
};
