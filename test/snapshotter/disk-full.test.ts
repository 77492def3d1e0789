import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { MNT_DETACH, sysMount, sysUmount } from "../../src/sys/libc.ts";
import { describeAsRoot } from "../support/describe-as-root.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { openDirectly } from "./opened-snapshotter.ts";
import { layerToMake, targetOf } from "./sample-layer.ts";

/** A directory of a size on its own file system. */
async function smallDisk(bytes: number): Promise<AsyncDisposable & { readonly path: string }> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir());
  const path = dir.join("disk");
  await mkdir(path);
  const call = { source: "tmpfs", target: path, type: "tmpfs", flags: 0, data: `size=${bytes}` };
  if (sysMount(call) < 0) throw new Error("no tmpfs");
  stack.defer(() => {
    sysUmount(path, MNT_DETACH);
  });
  const owned = stack.move();
  return { path, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Takes all room that is left; the file that has it. */
function fill(directory: string): string {
  const file = `${directory}/filler`;
  for (let bytes = 1 << 20; bytes >= 1024;) {
    try {
      writeFileSync(file, Buffer.alloc(bytes, 1), { flag: "a" });
    } catch {
      bytes /= 2;
    }
  }
  return file;
}

describeAsRoot("Snapshotter on a full disk", () => {
  test("says so in every call that writes, changes nothing, and goes on when there is room", async () => {
    await using disk = await smallDisk(2 << 20);
    const dir = { path: disk.path, join: (...parts: string[]) => [disk.path, ...parts].join("/") };
    await using opened = await openDirectly({
      dir: { ...dir, [Symbol.asyncDispose]: async () => undefined },
    });
    const { calls } = opened;
    await calls.prepare({ key: "a" });
    // The log of the database has room of its own for a while: more than it is asked for.
    const labels = { filling: "x".repeat(64 * 1024) };
    const filler = fill(disk.path);
    const full = { kind: "unavailable", message: expect.stringContaining("no room") };
    expect(await rejectionOf(calls.commit("a", "one", labels))).toMatchObject(full);
    expect(await rejectionOf(calls.update("a", labels))).toMatchObject(full);
    expect(await rejectionOf(calls.prepare({ key: "b", labels }))).toMatchObject(full);
    const layer = layerToMake("l");
    expect(
      await rejectionOf(calls.prepare({ ...layer, labels: { ...layer.labels, ...labels } })),
    ).toMatchObject(full);
    expect((await calls.list()).map(({ name, kind }) => `${kind} ${name}`)).toEqual(["active a"]);
    expect(opened.mounter.layers.size).toBe(0);

    await rm(filler);
    await calls.commit("a", "one", labels);
    await rejectionOf(calls.prepare({ ...layer, labels: { ...layer.labels, ...labels } }));
    expect((await calls.list()).map(({ name }) => name)).toEqual(["one", targetOf("l")]);
  });
});
