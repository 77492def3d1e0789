import { existsSync } from "node:fs";
import { expect, test } from "bun:test";
import { listMounts } from "../../src/sys/mountinfo.ts";
import { CriClient } from "../support/cri-client.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { addImage, buildLayer, imageOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { tempDir } from "../support/temp-dir.ts";

// What the tests of `serve` stand on: were it broken, each of them would fail for the same reason.
describeMounts(CONTAINERD_PROGRAMS, "a containerd of the tests' own", () => {
  test("pulls, runs, compares and leaves nothing behind", async () => {
    await using dir = await tempDir();
    await using registry = TestRegistry.start();
    const data = await buildLayer({ entries: [{ name: "etc/greeting", content: "hello\n" }] });
    const image = imageOf([await runnableLayer(), data]);
    await addImage(registry, "team/app", { image, tag: "latest" });
    const reference = `${registry.host}/team/app:latest`;
    let pid = 0;
    {
      await using containerd = await ContainerdProcess.start({ directory: dir.join("containerd") });
      await containerd.pull(reference);
      await containerd.pull(reference, { snapshotter: "native" });
      const args = ["/bin/cat", "/etc/greeting"];
      const ran = await containerd.runContainer({
        image: reference,
        snapshotter: "overlayfs",
        args,
      });
      expect({ code: ran.code, stdout: Buffer.from(ran.stdout).toString() }).toEqual({
        code: 0,
        stdout: "hello\n",
      });
      expect(
        await containerd.compareRootfs(reference, { snapshotters: ["overlayfs", "native"] }),
      ).toEqual([]);
      const running = await containerd.startContainer({
        image: reference,
        snapshotter: "overlayfs",
        args: ["/bin/sleep", "1000"],
      });
      pid = running.pid;
      const inside = await running.exec(["/bin/cat", "/etc/greeting"]);
      expect(Buffer.from(inside.stdout).toString()).toBe("hello\n");
      await containerd.restart();
      expect(existsSync(`/proc/${pid}/root/etc/greeting`)).toBe(true);
    }
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(existsSync(dir.join("containerd"))).toBe(false);
    const left = (await listMounts()).filter(({ mountPoint }) => mountPoint.startsWith(dir.path));
    expect(left).toEqual([]);
  });

  test("offers Kubernetes' interface with a snapshotter of ours", async () => {
    await using dir = await tempDir();
    await using containerd = await ContainerdProcess.start({
      directory: dir.join("containerd"),
      proxySnapshotters: { sociable: dir.join("sociable.sock") },
      cri: { snapshotter: "sociable" },
    });
    const plugins = await containerd.ctrOutput(["plugins", "list"]);
    expect(plugins).toMatch(/io\.containerd\.grpc\.v1 +cri +\S+ +ok/);
    expect(plugins).toMatch(/io\.containerd\.snapshotter\.v1 +sociable +\S+ +ok/);
  });

  test("pulls as kubelet has it pull", async () => {
    await using dir = await tempDir();
    await using registry = TestRegistry.start();
    const image = imageOf([await runnableLayer()]);
    await addImage(registry, "team/app", { image, tag: "latest" });
    await using containerd = await ContainerdProcess.start({
      directory: dir.join("containerd"),
      cri: { snapshotter: "overlayfs" },
    });
    const reference = `${registry.host}/team/app:latest`;
    using kubelet = new CriClient(containerd.address);
    expect(await kubelet.pullImage(reference)).toBe(image.config.descriptor.digest);
    const namespace = "k8s.io";
    const ran = await containerd.runContainer({
      image: reference,
      snapshotter: "overlayfs",
      namespace,
      args: ["/bin/echo", "hello"],
    });
    expect(Buffer.from(ran.stdout).toString()).toBe("hello\n");
    await kubelet.removeImage(reference);
    expect(await containerd.ctrOutput(["images", "list", "--quiet"], { namespace })).toBe("");
  });
});
