import { expect, test } from "bun:test";
import { ContainerdClient } from "../../src/containerd/containerd-client.ts";
import { imagesOfSnapshotter } from "../../src/daemon/images-of-snapshotter.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { addImage, buildLayer, imageOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { tempDir } from "../support/temp-dir.ts";

describeMounts(CONTAINERD_PROGRAMS, "imagesOfSnapshotter()", () => {
  test("names the images that were unpacked with it, and no others", async () => {
    await using dir = await tempDir();
    await using registry = TestRegistry.start();
    for (const repository of ["team/one", "team/two"]) {
      const entries = [{ name: "etc/name", content: repository }];
      const image = imageOf([await buildLayer({ entries })]);
      await addImage(registry, repository, { image, tag: "latest" });
    }
    await using containerd = await ContainerdProcess.start({ directory: dir.join("containerd") });
    const one = `${registry.host}/team/one:latest`;
    await containerd.pull(one, { snapshotter: "native" });
    await containerd.pull(`${registry.host}/team/two:latest`);
    await using client = new ContainerdClient(containerd.address);
    expect(await imagesOfSnapshotter(client, { snapshotter: "native" })).toEqual([
      `default/${one}`,
    ]);
    expect(await imagesOfSnapshotter(client, { snapshotter: "soci" })).toEqual([]);
  });
});
