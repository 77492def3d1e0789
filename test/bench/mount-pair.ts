import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type BenchMount, mountOverlay } from "./bench-mount.ts";
import type { BenchContext } from "./bench-context.ts";
import type { LayerFile } from "./layer-file.ts";
import { imageAt, MountStage } from "./mount-stage.ts";
import { runCommand } from "./run-command.ts";

/** The same layer twice: mounted by sociable with all of it in the cache, and unpacked under overlayfs. */
export interface MountPair extends AsyncDisposable {
  readonly stage: MountStage;
  readonly mount: BenchMount;
  /** Where the overlay is mounted. */
  readonly overlay: string;
}

export async function openMountPair(layer: LayerFile, context: BenchContext): Promise<MountPair> {
  const { signal } = context;
  await using resources = new AsyncDisposableStack();
  const stage = resources.use(await MountStage.open({ context, layers: [layer] }));
  const { directory: base } = await stage.fresh();
  const [lower, empty, overlay] = ["lower", "empty", "overlay"].map((name) => join(base, name));
  if (lower === undefined || empty === undefined || overlay === undefined) {
    throw new Error("three directories are three");
  }
  await Promise.all([lower, empty, overlay].map((path) => mkdir(path)));
  await runCommand(["tar", "-xzf", layer.path, "-C", lower], { signal });
  const mount = resources.use(
    await stage.mount({
      image: imageAt(stage.registry.host),
      flags: ["--wait"],
      until: "All of the image",
    }),
  );
  resources.use(await mountOverlay(overlay, { lower, empty, signal }));
  // Pages that are not written yet could not be dropped.
  await runCommand(["sync"], { signal });
  const owned = resources.move();
  return { stage, mount, overlay, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
