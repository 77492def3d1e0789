import { expect, test } from "bun:test";
import { mkdir, readdir, readlink } from "node:fs/promises";
import { mountImage } from "../../src/daemon/mount-image.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import {
  spawnFuseWorker,
  spawnInflateWorker,
  spawnIngestWorker,
  spawnTablesWorker,
} from "../../src/workers.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";

const threads = {
  spawnFuse: spawnFuseWorker,
  spawnInflate: spawnInflateWorker,
  spawnTables: spawnTablesWorker,
  spawnIngest: spawnIngestWorker,
};

async function mountAndRead(stage: MountStage, directory: string): Promise<void> {
  await using source = await openImageSource(stage.name);
  await using _mounted = await mountImage({
    source,
    directory,
    name: stage.name,
    root: stage.temp.join("root"),
    allowOther: false,
    readTimeoutMs: 30_000,
    threads,
    log: NO_LOG,
    onStreamed: () => ({ add: () => undefined, end: () => undefined }),
  });
  await using reader = stage.compare({ directory });
  expect(await reader.result).toMatchObject(ALL_RIGHT);
}

/** Files of the stage's that this process has open. */
async function openFiles(stage: MountStage): Promise<number> {
  const numbers = await readdir("/proc/self/fd");
  const links = await Promise.all(
    numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => "")),
  );
  return links.filter((link) => link.startsWith(stage.temp.path) || link === "/dev/fuse").length;
}

describeMounts([], "mountImage()", () => {
  test("leaves no descriptor open when the mount is disposed of", async () => {
    await using stage = await MountStage.open(await mountSample());
    const directory = stage.temp.join("mnt");
    await mkdir(directory);
    await mountAndRead(stage, directory);
    expect(await openFiles(stage)).toBe(0);
  });
});
