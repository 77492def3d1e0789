import type { Bench } from "./bench-context.ts";
import { compareSides } from "./compare-sides.ts";
import { dropCaches } from "./drop-caches.ts";
import { runByTurns } from "./run-by-turns.ts";
import { runCommand } from "./run-command.ts";
import { SERVE_IMAGES, ServeStage, serveImageAt } from "./serve-stage.ts";
import { LAZY, OVERLAY, peerKinds, ServeWorld } from "./serve-world.ts";

const NUMPY = ["/usr/bin/python3", "-c", "import numpy"];
/** Everything is local when it has been read once, whoever fetched it. */
const READ_ALL = ["/bin/sh", "-c", "find / -xdev -type f -exec cat {} + >/dev/null"];

export const serveAgainBench: Bench = {
  name: "serve-again",
  summary: "import numpy in a second container, all local, page cache dropped",
  async *run(context) {
    const { runs, signal, onSample } = context;
    await using stage = await ServeStage.open({ context });
    await using worlds = new AsyncDisposableStack();
    // From the registry itself: how fast it came is another row's.
    const reference = serveImageAt(stage.host, SERVE_IMAGES.one);
    const hosts: ServeWorld[] = [];
    for (const kind of [LAZY, OVERLAY, ...peerKinds(context)]) {
      const world = worlds.use(await ServeWorld.start({ context, stage, kind }));
      await world.pull(reference);
      await world.run(reference, READ_ALL);
      hosts.push(world);
    }
    await runCommand(["sync"], { signal });
    const sides = await runByTurns(
      hosts.map((world) => ({
        label: world.kind.label,
        includes: `ctr run of an image that was read whole before; ${world.kind.includes}`,
        measure: async () => {
          await dropCaches();
          return await world.run(reference, NUMPY);
        },
      })),
      { runs, onSample },
    );
    const against = compareSides(sides, { ours: OVERLAY.label, baseline: LAZY.label });
    yield {
      name: this.name,
      title: this.summary,
      input: `bench/${SERVE_IMAGES.one}`,
      sides,
      figures: [
        {
          ...against,
          what: "time against overlayfs's, medians",
          target: { floor: 1.3, aim: 1.1, isLimit: true },
        },
      ],
    };
  },
};
