import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { type LocalStore, openLocalStore } from "../../src/soci/local-store.ts";
import type { SociIndex } from "../../src/soci/soci-index.ts";
import { listZtocsOfIndexes } from "../../src/soci/ztoc-listing.ts";
import { tempDir } from "../support/temp-dir.ts";

const ZTOC = Buffer.from("a zTOC");
const LAYER = digestOf("layer");
const IMAGE = digestOf("image");
const INDEX_OPTIONS = {
  imageManifest: IMAGE,
  imageDigest: digestOf("image index"),
  platform: "linux/amd64",
  imageName: "example.com/a:b",
};

function sociIndex(version: "v1" | "v2" = "v1"): SociIndex {
  const layer = { mediaType: "m", digest: LAYER, size: 9 };
  const ztoc = {
    digest: digestOf(ZTOC),
    size: ZTOC.length,
    layer,
    spanSize: 64,
    disableXattrs: false,
  };
  return buildSociIndex([ztoc], {
    version,
    imageManifest: { mediaType: OCI_MANIFEST, digest: IMAGE, size: 5 },
  });
}

async function withStore(work: (store: LocalStore, root: string) => Promise<void>): Promise<void> {
  await using dir = await tempDir();
  await using store = await openLocalStore({ root: dir.join("root") });
  await work(store, dir.join("root"));
}

test("openLocalStore() makes a root of mode 0700", () =>
  withStore(async (_store, root) => {
    expect(statSync(root).mode & 0o777).toBe(0o700);
  }));

test("openLocalStore() refuses a root that is a file", async () => {
  await using dir = await tempDir();
  writeFileSync(dir.join("root"), "");
  await expect(openLocalStore({ root: dir.join("root") })).rejects.toMatchObject({
    kind: "failed-precondition",
  });
});

test("openLocalStore() throws the reason of an abort", async () => {
  await using dir = await tempDir();
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(openLocalStore({ root: dir.join("root"), signal })).rejects.toThrow("enough");
});

test("LocalStore.putZtoc() stores bytes that readZtoc() gives back", () =>
  withStore(async (store) => {
    const { digest, size } = await store.putZtoc([ZTOC.subarray(0, 2), ZTOC.subarray(2)], {
      layer: LAYER,
      spanSize: 64,
    });
    expect({ digest, size }).toEqual({ digest: digestOf(ZTOC), size: ZTOC.length });
    expect(Buffer.from(await store.readZtoc(digest))).toEqual(ZTOC);
    expect(store.artifacts.get(digest)).toMatchObject({
      type: "soci_layer",
      ociDigest: LAYER,
      spanSize: 64,
    });
  }));

test("LocalStore.putZtoc() lists nothing when the bytes are not those expected", () =>
  withStore(async (store) => {
    const put = store.putZtoc([ZTOC], { layer: LAYER, spanSize: 64, digest: digestOf("other") });
    await expect(put).rejects.toMatchObject({ kind: "data-loss" });
    expect(store.artifacts.listZtocs()).toEqual([]);
  }));

test("LocalStore.putZtoc() leaves nothing behind when its source fails", () =>
  withStore(async (store, root) => {
    async function* broken() {
      yield ZTOC;
      throw new Error("source broke");
    }
    await expect(store.putZtoc(broken(), { layer: LAYER, spanSize: 64 })).rejects.toThrow(
      "source broke",
    );
    expect(readdirSync(join(root, "content", "blobs", "sha256"))).toEqual([]);
    expect(store.artifacts.listZtocs()).toEqual([]);
  }));

test("LocalStore.findZtoc() finds a zTOC by layer and span size while its bytes are here", () =>
  withStore(async (store) => {
    const { digest } = await store.putZtoc([ZTOC], { layer: LAYER, spanSize: 64 });
    expect((await store.findZtoc(LAYER, 64))?.digest).toBe(digest);
    expect(await store.findZtoc(LAYER, 65)).toBeUndefined();
    unlinkSync(store.content.blobPath(digest));
    expect(await store.findZtoc(LAYER, 64)).toBeUndefined();
  }));

test.each([{ version: "v1" }, { version: "v2" }] as const)(
  "LocalStore.putIndex() stores a $version index that readIndex() gives back",
  ({ version }) =>
    withStore(async (store) => {
      const index = sociIndex(version);
      const { digest } = await store.putIndex(index, INDEX_OPTIONS);
      expect(await store.readIndex(digest)).toEqual(index);
      expect(store.artifacts.listIndexes()).toMatchObject([
        {
          digest,
          ociDigest: IMAGE,
          imageDigest: INDEX_OPTIONS.imageDigest,
          imageName: "example.com/a:b",
          artifactType: `application/vnd.amazon.soci.index.${version}+json`,
        },
      ]);
    }),
);

test("LocalStore.putIndex() makes the content an OCI layout with the index in it", () =>
  withStore(async (store) => {
    const { digest } = await store.putIndex(sociIndex(), INDEX_OPTIONS);
    expect((await store.content.readIndex()).manifests.map((entry) => entry.digest)).toEqual([
      digest,
    ]);
    expect(await store.content.hasBlob(digestOf("{}"))).toBe(true);
  }));

test("LocalStore.remove() removes row, entry and bytes, and says whether it was there", () =>
  withStore(async (store) => {
    const { digest } = await store.putIndex(sociIndex(), INDEX_OPTIONS);
    expect([await store.remove(digest), await store.remove(digest)]).toEqual([true, false]);
    expect(store.artifacts.get(digest)).toBeUndefined();
    expect((await store.content.readIndex()).manifests).toEqual([]);
    expect(await store.content.hasBlob(digest)).toBe(false);
  }));

test("LocalStore.readIndex() refuses bytes that have changed on disk", () =>
  withStore(async (store) => {
    const { digest } = await store.putIndex(sociIndex(), INDEX_OPTIONS);
    const path = store.content.blobPath(digest);
    unlinkSync(path);
    writeFileSync(path, "{}");
    await expect(store.readIndex(digest)).rejects.toMatchObject({ kind: "data-loss" });
  }));

test("LocalStore.readZtoc() throws not-found for what is not there", () =>
  withStore(async (store) => {
    await expect(store.readZtoc(LAYER)).rejects.toMatchObject({ kind: "not-found" });
  }));

test("listZtocsOfIndexes() gives the listed zTOCs of indexes in their order, each once", () =>
  withStore(async (store) => {
    const layer = { mediaType: "m", digest: LAYER, size: 9 };
    const ztocs = [];
    for (const name of ["b", "a", "not listed"]) {
      const { digest, size } = await store.putZtoc([Buffer.from(name)], {
        layer: LAYER,
        spanSize: 64,
      });
      ztocs.push({ digest, size, layer, spanSize: 64, disableXattrs: false });
    }
    const imageManifest = { mediaType: OCI_MANIFEST, digest: IMAGE, size: 5 };
    for (const version of ["v1", "v2"] as const) {
      await store.putIndex(buildSociIndex(ztocs, { version, imageManifest }), INDEX_OPTIONS);
    }
    await store.remove(digestOf("not listed"));
    const listed = await listZtocsOfIndexes(store, store.artifacts.listIndexes());
    expect(listed.map(({ digest }) => digest)).toEqual([digestOf("b"), digestOf("a")]);
  }));

test("LocalStore serves two who put the same index at once", () =>
  withStore(async (store, root) => {
    await using other = await openLocalStore({ root });
    await Promise.all([
      store.putIndex(sociIndex(), INDEX_OPTIONS),
      other.putIndex(sociIndex(), { ...INDEX_OPTIONS, imageName: "other" }),
    ]);
    expect(store.artifacts.listIndexes().length).toBe(2);
  }));

test("LocalStore never lists what it lost, and always opens, when killed at any moment", async () => {
  await using dir = await tempDir();
  const root = dir.join("root");
  mkdirSync(root);
  for (let round = 0; round < 12; round++) {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "churn-store.ts"), root], {
      stderr: "inherit",
      stdout: "pipe",
    });
    await child.stdout.getReader().read();
    await Bun.sleep(Math.random() * 80);
    child.kill("SIGKILL");
    await child.exited;
    await using store = await openLocalStore({ root });
    const listed = [...store.artifacts.listIndexes(), ...store.artifacts.listZtocs()];
    const lost: string[] = [];
    for (const { digest, size } of listed) {
      if ((await store.readZtoc(digest)).length !== size) lost.push(digest);
    }
    expect(lost).toEqual([]);
    expect(unfinishedFiles(root)).toEqual([]);
  }
}, 60_000);

test("LocalStore never lists what another process removes", async () => {
  await using dir = await tempDir();
  const root = dir.join("root");
  const children = Array.from({ length: 3 }, () =>
    Bun.spawn([process.execPath, join(import.meta.dir, "churn-store.ts"), root], {
      stderr: "inherit",
      stdout: "pipe",
    }),
  );
  await Promise.all(children.map(({ stdout }) => stdout.getReader().read()));
  await Bun.sleep(1000);
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map(({ exited }) => exited));
  await using store = await openLocalStore({ root });
  const listed = [...store.artifacts.listIndexes(), ...store.artifacts.listZtocs()];
  const sizes = await Promise.all(listed.map(({ digest }) => store.content.blobSize(digest)));
  expect(sizes).toEqual(listed.map(({ size }) => size));
}, 30_000);

function unfinishedFiles(root: string): string[] {
  return readdirSync(join(root, "content")).includes("ingest")
    ? readdirSync(join(root, "content", "ingest"))
    : [];
}
