import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import type { SnapshotsClient } from "../../src/containerd/snapshots-client.ts";
import type { Bench } from "./bench-context.ts";
import { runByTurns } from "./run-by-turns.ts";
import { SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import { LAZY, OVERLAY, peerKinds, ServeWorld } from "./serve-world.ts";
import { medianOf, percentileOf } from "./statistics.ts";

const CALLS = 20;
const DIRECT = "sociable, asked directly";
/** containerd collects what nobody holds, whenever it has been told of enough changes. */
const KEPT = { "containerd.io/gc.root": new Date(0).toISOString() };
/** Files of an image, so that all that a container needs is there. */
const TRUE = ["/bin/true"];

export const servePrepareBench: Bench = {
  name: "serve-prepare",
  summary: "Prepare and Mounts of a container's root file system, local image of 32 layers",
  async *run(context) {
    const { runs, signal, onSample } = context;
    await using stage = await ServeStage.open({ context });
    await using resources = new AsyncDisposableStack();
    const reference = serveImageAt(stage.host, SERVE_IMAGES.many);
    const targets: { label: string; includes: string; snapshots: SnapshotsClient }[] = [];
    for (const kind of [LAZY, OVERLAY, ...peerKinds(context)]) {
      const world = resources.use(await ServeWorld.start({ context, stage, kind }));
      await world.pull(reference);
      await world.run(reference, TRUE);
      const { address } = world.containerd;
      const { snapshotter } = kind;
      const { namespace } = world;
      const snapshots = (socket: string): SnapshotsClient =>
        resources.use(new ContainerdClient(socket)).namespace(namespace).snapshots(snapshotter);
      const includes = `through containerd; ${kind.includes}`;
      targets.push({ label: kind.label, includes, snapshots: snapshots(address) });
      if (kind !== LAZY || world.serve === undefined) continue;
      const direct = snapshots(world.serve.address);
      targets.push({ label: DIRECT, includes: "without containerd between", snapshots: direct });
    }
    const times = new Map(targets.map(({ label }) => [label, [] as number[]]));
    const sides = await runByTurns(
      await Promise.all(
        targets.map(async ({ label, includes, snapshots }) => {
          const parent = await topOf(snapshots);
          return {
            label,
            includes: `${CALLS} times Prepare and Mounts, one after another; ${includes}`,
            measure: async (run: number) => {
              signal.throwIfAborted();
              const before = process.cpuUsage();
              let sum = 0;
              for (let i = 0; i < CALLS; i++) {
                const ms = await prepare(snapshots, { key: `bench-${run}-${i}`, parent });
                if (run >= 0) times.get(label)?.push(ms);
                sum += ms;
              }
              const { user, system } = process.cpuUsage(before);
              return { wallSeconds: sum / 1000, cpuSeconds: (user + system) / 1e6 };
            },
          };
        }),
      ),
      { runs, onSample },
    );
    yield {
      name: this.name,
      title: this.summary,
      input: `bench/${SERVE_IMAGES.many}`,
      sides,
      figures: targets.flatMap(({ label }) => [
        {
          what: `${label}: median`,
          value: medianOf(times.get(label) ?? []),
          unit: "ms" as const,
          ...(label === LAZY.label ? { target: { floor: 20, aim: 5, isLimit: true } } : {}),
        },
        {
          what: `${label}: p99`,
          value: percentileOf(times.get(label) ?? [], 0.99),
          unit: "ms" as const,
        },
      ]),
      notes: ["CPU of the process that asks"],
    };
  },
};

/** Milliseconds of both calls; the snapshot is removed again. */
async function prepare(
  snapshots: SnapshotsClient,
  { key, parent }: { readonly key: string; readonly parent: string },
): Promise<number> {
  const started = performance.now();
  await snapshots.prepare(key, { parent, labels: KEPT });
  await snapshots.mounts(key);
  const ms = performance.now() - started;
  await snapshots.remove(key);
  return ms;
}

/** The committed snapshot on top of the one image that is there. */
async function topOf(snapshots: SnapshotsClient): Promise<string> {
  const all = await Array.fromAsync(snapshots.list());
  const parents = new Set(all.map(({ parent }) => parent));
  const top = all.find(({ name, kind }) => kind === "committed" && !parents.has(name));
  if (top === undefined) throw new Error("There is no committed snapshot");
  return top.name;
}
