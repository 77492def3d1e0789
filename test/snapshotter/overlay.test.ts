import { expect, test } from "bun:test";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { sysMount } from "../../src/sys/libc.ts";
import { describeAsRoot } from "../support/describe-as-root.ts";
import { rejectionOf } from "../support/failure.ts";
import { mountSnapshot } from "../support/mount-snapshot.ts";
import { tempDir } from "../support/temp-dir.ts";
import { type OpenedSnapshotter, openDirectly, openOverGrpc } from "./opened-snapshotter.ts";
import { serveLayers } from "./sample-layer.ts";

/** Prepares, mounts, lets `change` write, and commits. */
async function layer(
  { calls }: OpenedSnapshotter,
  name: string,
  parent: string,
  change: (path: string) => Promise<void>,
): Promise<void> {
  const key = `for ${name}`;
  const mounts = await calls.prepare({ key, parent });
  {
    await using mounted = await mountSnapshot(mounts);
    await change(mounted.path);
  }
  await calls.commit(key, name);
}

/** Looks at a committed snapshot. */
async function look<T>(
  { calls }: OpenedSnapshotter,
  parent: string,
  see: (path: string) => Promise<T>,
): Promise<T> {
  const mounts = await calls.view({ key: "look", parent });
  try {
    await using mounted = await mountSnapshot(mounts);
    return await see(mounted.path);
  } finally {
    await calls.remove("look");
  }
}

const MS_BIND = 4096;

const list = (path: string): Promise<string[]> => readdir(path);

// After containerd's own tests of what a snapshotter's mounts do.
describeAsRoot("mounts of a snapshotter", () => {
  test.each([
    { title: "directly", open: openDirectly },
    { title: "over a socket", open: openOverGrpc },
  ])("show what each layer added, changed and removed, $title", async ({ open }) => {
    await using opened = await open();
    await layer(opened, "one", "", async (path) => {
      await mkdir(join(path, "etc"));
      await writeFile(join(path, "etc", "hosts"), "one");
      await writeFile(join(path, "gone"), "one");
      await symlink("etc/hosts", join(path, "link"));
    });
    await layer(opened, "two", "one", async (path) => {
      expect(await readFile(join(path, "link"), "utf8")).toBe("one");
      await writeFile(join(path, "etc", "hosts"), "two");
      await unlink(join(path, "gone"));
      await writeFile(join(path, "new"), "two");
    });
    await look(opened, "two", async (path) => {
      expect((await readdir(path)).toSorted()).toEqual(["etc", "link", "new"]);
      expect(await readFile(join(path, "etc", "hosts"), "utf8")).toBe("two");
      expect(await readlink(join(path, "link"))).toBe("etc/hosts");
    });
    await look(opened, "one", async (path) => {
      expect((await readdir(path)).toSorted()).toEqual(["etc", "gone", "link"]);
      expect(await readFile(join(path, "etc", "hosts"), "utf8")).toBe("one");
    });
  });

  test("let a directory be removed and made again", async () => {
    await using opened = await openDirectly();
    await layer(opened, "one", "", async (path) => {
      await mkdir(join(path, "d"));
      await writeFile(join(path, "d", "old"), "");
    });
    await layer(opened, "two", "one", async (path) => {
      await rm(join(path, "d"), { recursive: true });
      await mkdir(join(path, "d"));
      await writeFile(join(path, "d", "new"), "");
    });
    expect(await look(opened, "two", (path) => readdir(join(path, "d")))).toEqual(["new"]);
  });

  test("let files of lower layers be renamed, and their owner and mode changed", async () => {
    await using opened = await openDirectly();
    await layer(opened, "one", "", async (path) => {
      await writeFile(join(path, "a"), "content");
      await mkdir(join(path, "d"), { mode: 0o700 });
    });
    await layer(opened, "two", "one", async (path) => {
      await rename(join(path, "a"), join(path, "b"));
      await chown(join(path, "d"), 12, 34);
      await chmod(join(path, "b"), 0o4755);
    });
    await look(opened, "two", async (path) => {
      expect((await readdir(path)).toSorted()).toEqual(["b", "d"]);
      expect(await lstat(join(path, "d"))).toMatchObject({ uid: 12, gid: 34, mode: 0o40700 });
      expect((await lstat(join(path, "b"))).mode).toBe(0o104755);
    });
  });

  test("keep the owner of the root directory in the layers above", async () => {
    await using opened = await openDirectly();
    await layer(opened, "one", "", (path) => chown(path, 12, 34));
    await layer(opened, "two", "one", async () => undefined);
    expect(await look(opened, "two", (path) => stat(path))).toMatchObject({
      uid: 12,
      gid: 34,
      mode: 0o40755,
    });
  });

  test("of a view cannot be written to", async () => {
    await using opened = await openDirectly();
    await layer(opened, "one", "", async () => undefined);
    await layer(opened, "two", "one", async () => undefined);
    for (const parent of ["one", "two"]) {
      const error = await look(opened, parent, (path) =>
        rejectionOf(writeFile(join(path, "x"), "")),
      );
      expect(error).toMatchObject({ code: "EROFS" });
    }
  });

  test("show local layers above served ones", async () => {
    await using opened = await openDirectly();
    const parent = await serveLayers(opened, "a", "b");
    const shown = await look(opened, parent, list);
    expect(shown.length).toBe(2);
    await layer(opened, "local", parent, async (path) => {
      await unlink(join(path, shown[0] ?? ""));
      await writeFile(join(path, "mine"), "");
    });
    expect((await look(opened, "local", list)).toSorted()).toEqual(
      [shown[1] ?? "", "mine"].toSorted(),
    );
  });

  test("are right with 128 layers", async () => {
    await using opened = await openDirectly();
    let parent = "";
    for (let at = 0; at < 128; at += 1) {
      const [mount] = await opened.calls.prepare({ key: "next", parent });
      const upper = mount?.options.find((option) => option.startsWith("upperdir="));
      await writeFile(join(upper?.slice("upperdir=".length) ?? mount?.source ?? "", `${at}`), "");
      await opened.calls.commit("next", `layer ${at}`);
      parent = `layer ${at}`;
    }
    expect((await look(opened, parent, list)).length).toBe(128);
  });

  test.each(["with:colon", "with,comma", "with\\backslash", "with space", 'a:b,c\\:d\\,"e"'])(
    "are right below a root %p",
    async (name) => {
      await using dir = await tempDir();
      await mkdir(dir.join(name));
      await using opened = await openDirectly({
        dir: { ...dir, path: dir.join(name), join: (...parts) => dir.join(name, ...parts) },
      });
      await layer(opened, "one", "", (path) => writeFile(join(path, "a"), ""));
      await layer(opened, "two", "one", (path) => writeFile(join(path, "b"), ""));
      expect((await look(opened, "two", list)).toSorted()).toEqual(["a", "b"]);
    },
  );

  test("left in a directory that is removed are unmounted, and not emptied", async () => {
    await using dir = await tempDir();
    await using opened = await openDirectly();
    await writeFile(dir.join("precious"), "");
    const [mount] = await opened.calls.prepare({ key: "a" });
    const target = join(mount?.source ?? "", "mnt");
    await mkdir(target);
    expect(sysMount({ source: dir.path, target, type: "", flags: MS_BIND, data: "" })).toBe(0);
    await opened.calls.remove("a");
    await opened.calls.cleanup();
    expect(await readdir(join(opened.root, "snapshots"))).toEqual([]);
    expect(await readdir(dir.path)).toEqual(["precious"]);
  });
});
