import { expect, test } from "bun:test";
import { mkdir, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { findMount, listMounts } from "../../src/sys/mountinfo.ts";
import { sysUmount } from "../../src/sys/libc.ts";
import { ChainStage } from "../support/chain-stage.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildLayer } from "../support/image-builder.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

/** Three layers, a file in each, and a small one whose owner is not root. */
async function openStage(): Promise<MountStage> {
  const files = new Map([
    ["base/large", sampleBytes(1_500_000)],
    ["middle/file", sampleBytes(300_000, 2)],
    ["top/file", sampleBytes(200_000, 3)],
  ]);
  const owned = { name: "base/owned", content: "x", uid: 1000, gid: 70_000 };
  const layers = await Promise.all(
    Array.from(files, ([name, content], index) =>
      buildLayer({ entries: [{ name, content, mode: 0o644 }, ...(index === 0 ? [owned] : [])] }),
    ),
  );
  return await MountStage.open({ layers, files });
}

/** What a command prints, in a process of its own: this one answers the mount. */
async function run(...command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return `${out}${error}`.trim();
}

async function shell(script: string, ...args: readonly string[]): Promise<string> {
  return await run("sh", "-c", script, "sh", ...args);
}

/** What the descriptors of this process refer to; of those that threads have for themselves nothing. */
async function openFiles(): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`));
  const targets = await Promise.allSettled(links);
  return targets
    .flatMap((target) => (target.status === "fulfilled" ? [target.value] : []))
    .filter((path) => path.startsWith("/"))
    .map((path) => path.replace(/[0-9a-f-]{36}/, "…"))
    .toSorted();
}

describeMounts([], "ChainMount", () => {
  test("shows chains that share layers, each layer's file as one node", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    const directory = stage.temp.join("mnt");
    await using mount = await chains.mount(directory);
    const [one, two] = [await chains.chain(0, 1), await chains.chain(0, 1, 2)];
    const first = await mount.addChain(one.treeKey, one.treePath, one.layers);
    const second = await mount.addChain(two.treeKey, two.treePath, two.layers);
    expect(first).toBe(join(directory, one.treeKey));
    await using reader = stage.compare({ directory: second });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    const list = await shell('ls "$1" "$2" "$3"', directory, first, second);
    expect(list).toContain([one.treeKey, two.treeKey].toSorted().join("\n"));
    expect(list).toContain(`${first}:\nbase\nmiddle`);
    const inodes = await run("stat", "-c", "%i %d", `${first}/base/large`, `${second}/base/large`);
    const [a, b] = inodes.split("\n");
    expect(a).toBe(b);
  });

  test("removes chains and shows them again under the same names, readers all the time", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const all = await chains.chain(0, 1, 2);
    const directory = await mount.addChain(all.treeKey, all.treePath, all.layers);
    await using reader = stage.compare({ directory }, { untilStopped: true });
    await using direct = stage.compare({ directory }, { untilStopped: true, isDirect: true });
    const some = [await chains.chain(0), await chains.chain(0, 1), await chains.chain(1)];
    for (let round = 0; round < 8; round++) {
      for (const { treeKey, treePath, layers } of some) {
        const path = await mount.addChain(treeKey, treePath, layers);
        expect(await shell('ls "$1" | wc -l; ls -d "$2"', mount.directory, path)).toContain(path);
      }
      for (const { treeKey } of some) {
        await mount.removeChain(treeKey);
        const path = join(mount.directory, treeKey);
        expect(await run("stat", path)).toContain("No such file");
        expect(await run("ls", mount.directory)).not.toContain(treeKey);
      }
    }
    expect(mount.chains).toEqual([all.treeKey]);
    expect(await reader.stop()).toMatchObject(ALL_RIGHT);
    expect(await direct.stop()).toMatchObject(ALL_RIGHT);
  });

  test("gives ESTALE to whoever still uses a chain that is removed, and to a read that waits", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const chain = await chains.chain(0, 1, 2);
    const directory = await mount.addChain(chain.treeKey, chain.treePath, chain.layers);
    stage.proxy.stall();
    const waiting = shell('cd "$1" && echo here && cat base/large', directory);
    const deadline = performance.now() + 20_000;
    while (chains.scheduler.stats.requests === 0 && performance.now() < deadline) {
      await Bun.sleep(5);
    }
    await mount.removeChain(chain.treeKey);
    expect(await waiting).toMatch(/here\n.*Stale file handle/);
  });

  test("is the lower directory of overlays, whose runtime reads on", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const [shown, other] = [await chains.chain(0, 1, 2), await chains.chain(0)];
    const lower = await mount.addChain(shown.treeKey, shown.treePath, shown.layers);
    const [upper, work, merged] = ["upper", "work", "merged"].map((name) => stage.temp.join(name));
    for (const path of [upper, work, merged]) await mkdir(path ?? "");
    const data = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const mounted = await run("mount", "-t", "overlay", "-o", data, "overlay", merged ?? "");
    expect(mounted).toBe("");
    try {
      await using reader = stage.compare({ directory: merged ?? "" }, { untilStopped: true });
      for (let round = 0; round < 5; round++) {
        await mount.addChain(other.treeKey, other.treePath, other.layers);
        await mount.removeChain(other.treeKey);
      }
      expect(await reader.stop()).toMatchObject(ALL_RIGHT);
      expect(await shell('echo new > "$1/base/large" && cat "$1/base/large"', merged ?? "")).toBe(
        "new",
      );
    } finally {
      expect(await run("umount", merged ?? "")).toBe("");
    }
  });

  test("tells through an overlay how much of each layer is local, as it grows", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const { treeKey, treePath, layers } = await chains.chain(0, 1);
    const lower = await mount.addChain(treeKey, treePath, layers);
    const merged = stage.temp.join("merged");
    await mkdir(merged);
    const empty = stage.temp.join("empty");
    await mkdir(empty);
    const data = `lowerdir=${empty}:${lower}`;
    expect(await run("mount", "-t", "overlay", "-o", data, "overlay", merged)).toBe("");
    try {
      const { descriptor } = layers[0] ?? {};
      const path = `.soci-snapshotter/${descriptor?.digest}.json`;
      const states = async () => {
        const text = await shell('cat "$1" && cat "$2"', join(merged, path), join(lower, path));
        return text.split("\n").map((line) => JSON.parse(line));
      };
      const { digest, size = 0 } = descriptor ?? {};
      const none = { digest, size, fetchedSize: 0, fetchedPercent: 0 };
      expect(await states()).toEqual([none, none]);
      expect(await shell('cat "$1/base/large" | wc -c', merged)).toBe("1500000");
      const all = { digest, size, fetchedSize: size, fetchedPercent: 100 };
      expect(await states()).toEqual([all, all]);
      expect(await run("stat", "-c", "%a", join(merged, path))).toBe("400");
      expect(await run("stat", "-c", "%a", join(lower, ".soci-snapshotter"))).toBe("500");
      expect(await run("ls", "-A", lower)).toBe("base\nmiddle");
      expect(await run("ls", join(lower, ".soci-snapshotter"))).toContain(`${digest}.json`);
    } finally {
      expect(await run("umount", merged)).toBe("");
    }
  });

  test("shows owners as they are mapped", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    const ids = {
      uids: [{ containerId: 0, hostId: 100_000, length: 65_536 }],
      gids: [{ containerId: 0, hostId: 200_000, length: 65_536 }],
    };
    await using mount = await chains.mount(stage.temp.join("mnt"), { ids });
    const { treeKey, treePath, layers } = await chains.chain(0);
    const path = await mount.addChain(treeKey, treePath, layers);
    const owners = await run("stat", "-c", "%u:%g", mount.directory, path, `${path}/base/owned`);
    expect(owners).toBe("0:0\n100000:200000\n101000:65534");
  });

  test("says how it is mounted, in the table of mounts and in its record", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    const directory = stage.temp.join("mnt");
    const kind = { xattrs: false, acls: false };
    await using mount = await chains.mount(directory, { type: "fuse.rawBridge", kind });
    const found = await findMount(directory);
    expect(found).toMatchObject({ type: "fuse.rawBridge", source: "test", device: mount.device });
    expect(found?.options.split(",")).not.toContain("nosuid");
    const { treeKey, treePath, layers } = await chains.chain(0, 2);
    await mount.addChain(treeKey, treePath, layers);
    const record = await chains.records.readChains(mount.device);
    expect(record).toMatchObject({ directory, type: "fuse.rawBridge", features: kind });
    expect(record.negotiated).toEqual(mount.negotiated);
    expect(record.chains).toMatchObject([{ treeKey, layers: layers.map(({ number }) => number) }]);
    expect(record.layers).toHaveLength(2);
    await mount.removeChain(treeKey);
    expect(await chains.records.readChains(mount.device)).toMatchObject({ chains: [], layers: [] });
  });

  test("refuses a chain that is shown, and trees that are damaged or of other layers", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const [one, other] = [await chains.chain(0), await chains.chain(1)];
    await mount.addChain(one.treeKey, one.treePath, one.layers);
    const add = (treeKey: string, treePath: string) =>
      rejectionOf(mount.addChain(treeKey, treePath, one.layers));
    expect(await add(one.treeKey, one.treePath)).toMatchObject({ kind: "already-exists" });
    expect(await add("../up", one.treePath)).toMatchObject({ kind: "invalid-argument" });
    expect(await add(other.treeKey, other.treePath)).toMatchObject({ kind: "data-loss" });
    expect(await add(other.treeKey, "/nowhere")).toMatchObject({ kind: "not-found" });
    const bytes = new Uint8Array(await Bun.file(one.treePath).arrayBuffer());
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    await Bun.write(stage.temp.join("damaged"), bytes);
    expect(await add(other.treeKey, stage.temp.join("damaged"))).toMatchObject({
      kind: "data-loss",
    });
    expect(mount.chains).toEqual([one.treeKey]);
    expect(await run("ls", mount.directory)).toBe(one.treeKey);
  });

  test("takes a mount away that a dead process has left on its directory", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    const left = await stage.mount({ root: "other" });
    left.kill();
    await left.exited;
    await using mount = await chains.mount(left.directory);
    expect(
      (await listMounts()).filter(({ mountPoint }) => mountPoint === left.directory),
    ).toHaveLength(1);
    expect((await findMount(left.directory))?.device).toBe(mount.device);
    expect(chains.logged).toContainEqual(
      expect.objectContaining({ message: "mount of a process that has ended is taken away" }),
    );
  });

  test("ends when somebody unmounts it, and can be changed no more", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    await using mount = await chains.mount(stage.temp.join("mnt"));
    const [one, other] = [await chains.chain(0), await chains.chain(1)];
    await mount.addChain(one.treeKey, one.treePath, one.layers);
    sysUmount(mount.directory, 0);
    await mount.unmounted;
    const refused = rejectionOf(mount.addChain(other.treeKey, other.treePath, other.layers));
    expect(await refused).toMatchObject({ kind: "failed-precondition" });
    await mount.removeChain(one.treeKey);
    expect(mount.chains).toEqual([]);
  });

  test("leaves nothing behind: descriptors, mounts, records, layers", async () => {
    await using stage = await openStage();
    await using chains = await ChainStage.open({
      image: stage.name,
      root: stage.temp.join("root"),
    });
    const staged = await chains.chain(0, 1, 2);
    const round = async () => {
      await using mount = await chains.mount(stage.temp.join("mnt"));
      const path = await mount.addChain(staged.treeKey, staged.treePath, staged.layers);
      await using reader = stage.compare({ directory: path });
      expect(await reader.result).toMatchObject(ALL_RIGHT);
      await mount.removeChain(staged.treeKey);
    };
    await round();
    const before = await openFiles();
    for (let i = 0; i < 3; i++) await round();
    expect(await openFiles()).toEqual(before);
    expect(await findMount(stage.temp.join("mnt"))).toBeUndefined();
    expect(await readdir(stage.temp.join("root/mounts"))).toEqual(["table-numbers.json"]);
    for (const lease of staged.layers) await lease[Symbol.asyncDispose]();
    expect(chains.served.count).toBe(0);
  });
});
