import type { Bench } from "./bench-context.ts";
import { repeatedBytes } from "./repeated-bytes.ts";
import { RequestRecorder } from "./request-recorder.ts";
import { runByTurns } from "./run-by-turns.ts";
import { SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import { LAZY, LAZY_NO_FILL, OVERLAY, ServeWorld } from "./serve-world.ts";

const CONTAINERS = 100;
const MOST_RUNS = 3;
const NUMPY = ["/usr/bin/python3", "-c", "import numpy"];

export const serveCrowdBench: Bench = {
  name: "serve-crowd",
  summary: `${CONTAINERS} containers that import numpy, started at once from one cold image`,
  async *run(context) {
    await using stage = await ServeStage.open({ context });
    await using recorder = await RequestRecorder.start(stage.line.host);
    const reference = serveImageAt(recorder.host, SERVE_IMAGES.one);
    const most = new Map<string, { failed: number; asked: number; repeated: number }>();
    const sides = await runByTurns(
      [LAZY, LAZY_NO_FILL, OVERLAY].map((kind) => ({
        label: kind.label,
        includes: `from the start of the first to the end of the last; ${kind.includes}`,
        measure: async () => {
          await using world = await ServeWorld.start({ context, stage, kind });
          await world.pull(reference);
          recorder.take();
          const started = performance.now();
          const all = await Promise.allSettled(
            Array.from({ length: CONTAINERS }, () => world.run(reference, NUMPY)),
          );
          context.signal.throwIfAborted();
          const wallSeconds = (performance.now() - started) / 1000;
          const failed = all.filter(({ status }) => status === "rejected").length;
          const asked = repeatedBytes(recorder.take());
          const before = most.get(kind.label) ?? { failed: 0, asked: 0, repeated: 0 };
          most.set(kind.label, {
            failed: Math.max(before.failed, failed),
            asked: Math.max(before.asked, asked.bytes),
            repeated: Math.max(before.repeated, asked.repeated),
          });
          return { wallSeconds, cpuSeconds: 0 };
        },
      })),
      { runs: Math.min(context.runs, MOST_RUNS), warmUp: false, onSample: context.onSample },
    );
    yield {
      name: this.name,
      title: this.summary,
      input: `bench/${SERVE_IMAGES.one}, 50 ms a request, 1 Gbit/s`,
      sides,
      figures: [...most].flatMap(([label, { failed, asked, repeated }]) => [
        {
          what: `${label}: containers that failed, most`,
          value: failed,
          unit: "containers" as const,
          target: { floor: 0, aim: 0, isLimit: true },
        },
        {
          what: `${label}: asked of blobs behind the pull`,
          value: asked / 1e6,
          unit: "MB" as const,
        },
        {
          what: `${label}: … asked for again`,
          value: repeated / 1e6,
          unit: "MB" as const,
          target: { floor: 0, aim: 0, isLimit: true },
        },
      ]),
      notes: ["CPU is not measured"],
    };
  },
};
