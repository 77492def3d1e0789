import { createServer } from "node:net";
import { mkdir, writeFile } from "node:fs/promises";
import { beforeAll, expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { addImage, imageOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { ServeProcess } from "../support/serve-process.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 120_000;

beforeAll(buildSociable, PATIENCE_MS);

/** Whether calls are answered. */
async function answers(address: string): Promise<boolean> {
  await using client = new ContainerdClient(address);
  const snapshots = client.namespace("default").snapshots("sociable");
  return (await Array.fromAsync(snapshots.list())).length === 0;
}

describeMounts([], "the start of sociable serve", () => {
  test.each([
    { title: "is no TOML", config: "[cache\n", says: ["config.toml"] },
    {
      title: "has a value of another kind",
      config: "max_concurrency = true\n",
      says: ["max_concurrency"],
    },
    {
      title: "has a value that nobody can read",
      config: '[cache]\nsize = "many"\n',
      says: ["cache.size", "many"],
    },
    {
      title: "contradicts itself",
      config:
        "[pull_modes.parallel_pull_unpack]\nenable = true\nmax_concurrent_downloads = 2\nmax_concurrent_downloads_per_image = 3\n",
      says: ["max_concurrent_downloads_per_image"],
    },
  ])("is refused, with file and line, when the configuration $title", async ({ config, says }) => {
    await using dir = await tempDir();
    await using serve = await ServeProcess.spawn({ directory: dir.join("serve"), config });
    expect(await serve.exited).toBeGreaterThan(0);
    for (const text of [dir.join("serve", "config.toml"), ...says]) {
      expect(serve.stderr).toContain(text);
    }
    expect(serve.stderr).toMatch(/config\.toml\W+(line )?\d+/);
  });

  test("warns of keys that nobody knows, and goes on", async () => {
    await using dir = await tempDir();
    const config = "[pull_modes.soci_v1]\nenabled = true\n";
    await using serve = await ServeProcess.start({ directory: dir.join("serve"), config });
    const warnings = serve.records.filter(({ level }) => level === "warning" || level === "warn");
    expect(JSON.stringify(warnings)).toContain("pull_modes.soci_v1.enabled");
    expect(await answers(serve.address)).toBe(true);
  });

  test("makes the directory of its socket", async () => {
    await using dir = await tempDir();
    const address = dir.join("run", "sociable.sock");
    await using serve = await ServeProcess.start({ directory: dir.join("serve"), address });
    expect(await answers(serve.address)).toBe(true);
  });

  test("says what to do when the socket's directory cannot be made", async () => {
    await using dir = await tempDir();
    const address = dir.join("no", "such", "sociable.sock");
    await using serve = await ServeProcess.spawn({ directory: dir.join("serve"), address });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr).toContain(`mkdir -p ${dir.join("no", "such")}`);
  });

  test("leaves a socket alone at which another process listens", async () => {
    await using dir = await tempDir();
    const address = dir.join("taken.sock");
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(address, resolve);
    });
    try {
      await using serve = await ServeProcess.spawn({ directory: dir.join("serve"), address });
      expect(await serve.exited).toBe(1);
      expect(serve.stderr).toContain(address);
      expect(serve.stderr).toContain("--address");
    } finally {
      other.close();
    }
  });

  test("leaves a file alone that is no socket", async () => {
    await using dir = await tempDir();
    const address = dir.join("file");
    await writeFile(address, "mine");
    await using serve = await ServeProcess.spawn({ directory: dir.join("serve"), address });
    expect(await serve.exited).toBe(1);
    expect(await Bun.file(address).text()).toBe("mine");
  });

  test("takes the place of a socket that a dead daemon left", async () => {
    await using dir = await tempDir();
    await using serve = await ServeProcess.start({ directory: dir.join("serve") });
    await serve.kill();
    await serve.restart();
    expect(await answers(serve.address)).toBe(true);
  });

  test("refuses the second daemon of a root and of a socket, and the first goes on", async () => {
    await using dir = await tempDir();
    await using first = await ServeProcess.start({ directory: dir.join("first") });
    await using sameRoot = await ServeProcess.spawn({
      directory: dir.join("second"),
      root: first.root,
    });
    await using sameSocket = await ServeProcess.spawn({
      directory: dir.join("third"),
      address: first.address,
    });
    expect(await sameRoot.exited).toBe(1);
    expect(sameRoot.stderr).toContain(`process ${first.pid}`);
    expect(await sameSocket.exited).toBe(1);
    expect(sameSocket.stderr).toContain(first.address);
    expect(await answers(first.address)).toBe(true);
  });

  test("refuses a root that is a file", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("root"), "");
    await using serve = await ServeProcess.spawn({
      directory: dir.join("serve"),
      root: dir.join("root"),
    });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr).toContain(dir.join("root"));
  });
});

describeMounts(CONTAINERD_PROGRAMS, "sociable serve over the Go snapshotter's root", () => {
  test(
    "is refused with the images that are to go first",
    async () => {
      await using dir = await tempDir();
      await using registry = TestRegistry.start();
      const image = imageOf([await runnableLayer()]);
      await addImage(registry, "team/app", { image, tag: "latest" });
      await using containerd = await ContainerdProcess.start({ directory: dir.join("containerd") });
      const reference = `${registry.host}/team/app:latest`;
      await containerd.pull(reference);
      // As containerd marks an image that it unpacked with it.
      const label = `containerd.io/gc.ref.snapshot.soci=sha256:${"a".repeat(64)}`;
      const { digest } = image.config.descriptor;
      await containerd.ctrOutput(["content", "label", digest, label]);
      const root = dir.join("root");
      await mkdir(dir.join("root", "snapshotter"), { recursive: true });
      await writeFile(dir.join("root", "snapshotter", "metadata.db"), "");
      await using serve = await ServeProcess.spawn({
        directory: dir.join("serve"),
        root,
        containerd: containerd.address,
      });
      expect(await serve.exited).toBe(1);
      expect(serve.stderr).toContain(dir.join("root", "snapshotter", "metadata.db"));
      expect(serve.stderr).toContain(`default/${reference}`);
    },
    PATIENCE_MS,
  );

  test("is refused without containerd, too", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("root", "snapshotter"), { recursive: true });
    await writeFile(dir.join("root", "snapshotter", "metadata.db"), "");
    await using serve = await ServeProcess.spawn({
      directory: dir.join("serve"),
      root: dir.join("root"),
    });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr).toContain("soci-snapshotter-grpc");
  });
});
