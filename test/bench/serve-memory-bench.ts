import type { Bench, BenchContext } from "./bench-context.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { memoryOf, privateBytesOf } from "./process-figures.ts";
import type { RowReport, Target } from "./row-report.ts";
import { HOST_IMAGE, SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import { LAZY, peerKinds, ServeWorld, type WorldKind } from "./serve-world.ts";

const MiB = 1024 * 1024;
const IMAGES = 50;
/** The fill of the last image has ended, and what it took was given back. */
const SETTLE_MS = 15_000;

export const serveMemoryBench: Bench = {
  name: "serve-memory",
  summary: "private memory of the snapshotter with one image, and with 50",
  async *run(context) {
    await using stage = await ServeStage.open({ context });
    const hosts = Array.from({ length: IMAGES }, (_, i) => `${HOST_IMAGE}-${i + 1}`);
    yield await measureMemory(stage, context, {
      images: [SERVE_IMAGES.one],
      args: ["/usr/bin/python3", "-c", "import numpy"],
      target: { floor: 90, aim: 65, isLimit: true },
    });
    yield await measureMemory(stage, context, {
      images: hosts,
      args: ["/bin/true"],
      target: { floor: 130, aim: 90, isLimit: true },
    });
  },
};

interface MemoryTask {
  readonly images: readonly string[];
  /** What runs once in each. */
  readonly args: readonly string[];
  readonly target: Target;
}

async function measureMemory(
  stage: ServeStage,
  context: BenchContext,
  { images, args, target }: MemoryTask,
): Promise<RowReport> {
  const kinds = [LAZY, ...peerKinds(context)];
  const found: { kind: WorldKind; afterwards: number; peak: number; rss: number }[] = [];
  for (const kind of kinds) {
    await using world = await ServeWorld.start({ context, stage, kind });
    const pid = world.serve?.pid;
    if (pid === undefined) throw new Error(`${kind.label} has no process of its own`);
    using watch = new MemoryWatch(pid);
    for (const image of images) {
      const reference = serveImageAt(stage.host, image);
      await world.pull(reference);
      await world.run(reference, args);
    }
    await Bun.sleep(SETTLE_MS);
    const memory = memoryOf(pid);
    const afterwards = privateBytesOf(memory);
    found.push({ kind, afterwards, peak: watch.peakBytes, rss: afterwards + memory.fileBytes });
  }
  return {
    name: `serve-memory-${images.length}`,
    title: serveMemoryBench.summary,
    input: `${images.length} images, each pulled and run once`,
    sides: [],
    figures: found.flatMap(({ kind, afterwards, peak, rss }) => [
      {
        what: `${kind.label}: RssAnon + RssShmem, ${SETTLE_MS / 1000} s later`,
        value: afterwards / MiB,
        unit: "MiB" as const,
        ...(kind === LAZY ? { target } : {}),
      },
      { what: `${kind.label}: … at most`, value: peak / MiB, unit: "MiB" as const },
      { what: `${kind.label}: with mapped files`, value: rss / MiB, unit: "MiB" as const },
    ]),
  };
}
