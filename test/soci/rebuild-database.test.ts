import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { encodePrefetch } from "../../src/soci/encode-prefetch.ts";
import {
  LOCAL_STORE_DATABASE,
  type LocalStore,
  openLocalStore,
} from "../../src/soci/local-store.ts";
import { openDamagedStore, rebuildDatabase } from "../../src/soci/rebuild-database.ts";
import { tempDir } from "../support/temp-dir.ts";

const LAYER = { mediaType: "m", digest: digestOf("layer"), size: 9 };
const ZTOC = "a zTOC that is long enough";
const PREFETCH = encodePrefetch([{ startSpan: 0, endSpan: 3 }]);

async function putIndex(store: LocalStore, version: "v1" | "v2", name = "image") {
  const { digest, size } = await store.putZtoc([Buffer.from(ZTOC)], {
    layer: LAYER.digest,
    spanSize: 64,
  });
  const prefetch = await store.putPrefetch(PREFETCH, { layer: LAYER.digest });
  const imageManifest = { mediaType: OCI_MANIFEST, digest: digestOf(name), size: 5 };
  const index = buildSociIndex(
    [{ digest, size, layer: LAYER, spanSize: 64, disableXattrs: false }],
    {
      version,
      imageManifest,
      prefetch: [{ digest: prefetch.digest, size: prefetch.size, layer: LAYER.digest }],
    },
  );
  return await store.putIndex(index, {
    imageManifest: imageManifest.digest,
    imageDigest: digestOf(`index of ${name}`),
    platform: "linux/arm64/v8",
    imageName: `example.com/${name}:v1`,
  });
}

/** All that is listed, but for when. */
function listOf(store: LocalStore) {
  return store.artifacts.listAll().map(({ createdAt: _when, ...artifact }) => artifact);
}

async function withStore(
  work: (at: {
    readonly root: string;
    /** Uses the store and closes it. */
    readonly use: <T>(use: (store: LocalStore) => Promise<T> | T) => Promise<T>;
    readonly rebuild: () => ReturnType<typeof rebuildDatabase>;
    readonly forget: () => void;
  }) => Promise<void>,
): Promise<void> {
  await using dir = await tempDir();
  const root = dir.join("root");
  await work({
    root,
    use: async (use) => {
      await using store = await openLocalStore({ root });
      return await use(store);
    },
    rebuild: async () => {
      await using store = await openDamagedStore({ root });
      return await rebuildDatabase(store);
    },
    forget: () => {
      for (const ending of ["", "-wal", "-shm"]) {
        rmSync(join(root, `${LOCAL_STORE_DATABASE}${ending}`), { force: true });
      }
    },
  });
}

const NOTHING = { added: [], removed: [], damaged: [], unknown: [] };

describe("rebuildDatabase()", () => {
  test("lists again, as it was, what a lost database listed: v1, v2, prefetch, shared zTOCs", () =>
    withStore(async ({ use, rebuild, forget }) => {
      const before = await use(async (store) => {
        await putIndex(store, "v1");
        await putIndex(store, "v2", "converted");
        return listOf(store);
      });
      forget();
      const { added } = await rebuild();
      expect(added).toHaveLength(4);
      expect(await use(listOf)).toEqual(before);
    }));

  test("changes nothing where nothing is to do, and adds nothing twice", () =>
    withStore(async ({ use, rebuild, forget }) => {
      await use((store) => putIndex(store, "v1"));
      const before = await use((store) => store.artifacts.listAll());
      expect(await rebuild()).toEqual(NOTHING);
      expect(await use((store) => store.artifacts.listAll())).toEqual(before);
      forget();
      await rebuild();
      expect(await rebuild()).toEqual(NOTHING);
    }));

  test("makes an empty store where there is none", () =>
    withStore(async ({ use, rebuild }) => {
      expect(await rebuild()).toEqual(NOTHING);
      expect(await use(listOf)).toEqual([]);
    }));

  test("keeps zTOCs that are listed and that no index names", () =>
    withStore(async ({ use, rebuild }) => {
      await use((store) =>
        store.putZtoc([Buffer.from(ZTOC)], { layer: LAYER.digest, spanSize: 1 }),
      );
      expect(await rebuild()).toEqual(NOTHING);
      expect(await use(listOf)).toHaveLength(1);
    }));

  test("removes rows of what is gone or has another size", () =>
    withStore(async ({ use, rebuild }) => {
      const index = await use(async (store) => {
        const { digest } = await putIndex(store, "v1");
        rmSync(store.content.blobPath(digest));
        const ztoc = store.content.blobPath(digestOf(ZTOC));
        chmodSync(ztoc, 0o644);
        truncateSync(ztoc, 3);
        return digest;
      });
      const { removed } = await rebuild();
      expect(removed.toSorted()).toEqual([index, digestOf(ZTOC)].toSorted());
      expect((await use(listOf)).map(({ type }) => type)).toEqual(["soci_prefetch"]);
    }));

  test("removes what is damaged, so that it can be made again", () =>
    withStore(async ({ use, rebuild }) => {
      await use(async (store) => {
        await putIndex(store, "v1");
        writeFileSync(store.content.blobPath(digestOf(ZTOC)), "X".repeat(ZTOC.length), {
          mode: 0o644,
        });
      });
      expect(await rebuild()).toMatchObject({ damaged: [digestOf(ZTOC)] });
      await use(async (store) => {
        expect(await store.content.hasBlob(digestOf(ZTOC))).toBe(false);
        await putIndex(store, "v1");
        expect(Buffer.from(await store.readZtoc(digestOf(ZTOC))).toString()).toBe(ZTOC);
      });
    }));

  test("finds a v1 index by its subject in a store of another tool, a v2 index of nobody not", () =>
    withStore(async ({ root, use, rebuild, forget }) => {
      const [v1, v2] = await use(async (store) => [
        await putIndex(store, "v1"),
        await putIndex(store, "v2", "converted"),
      ]);
      forget();
      const manifests = [v1].map((one) => ({ ...one, annotations: {} }));
      const text = JSON.stringify({ schemaVersion: 2, manifests });
      writeFileSync(join(root, "content", "index.json"), text);
      const report = await rebuild();
      expect(report.unknown).toEqual(v2 === undefined ? [] : [v2.digest]);
      await use((store) => {
        expect(store.artifacts.findIndexes(digestOf("image"))).toMatchObject([
          { digest: v1?.digest, platform: "", imageName: "" },
        ]);
        expect(store.artifacts.listZtocs()).toMatchObject([{ spanSize: 64 }]);
      });
    }));

  test("passes over what is no index: other documents, garbage, directories", () =>
    withStore(async ({ root, use, rebuild }) => {
      await use(async (store) => {
        for (const text of [
          '{"schemaVersion":2,"manifests":[]}',
          "[".repeat(1000),
          "\0".repeat(50),
        ]) {
          await store.content.putBytes("m", Buffer.from(text));
        }
      });
      writeFileSync(join(root, "content", "blobs", "sha256", "README"), "not a blob");
      expect(await rebuild()).toEqual(NOTHING);
    }));

  test("throws the reason of an abort", () =>
    withStore(async ({ use }) => {
      await use(async (store) => {
        await putIndex(store, "v1");
        const signal = AbortSignal.abort(new Error("enough"));
        const failure = await rebuildDatabase(store, { signal }).catch((error: unknown) => error);
        expect(failure).toMatchObject({ message: "enough" });
      });
    }));
});

describe("openDamagedStore()", () => {
  test.each([
    {
      title: "a database that is none",
      damage: (root: string) => writeFileSync(join(root, LOCAL_STORE_DATABASE), "x".repeat(9000)),
      place: ".",
    },
    {
      title: "an index.json that is cut off",
      damage: (root: string) => writeFileSync(join(root, "content", "index.json"), '{"schemaV'),
      place: "content",
    },
  ])("puts $title aside", ({ damage, place }) =>
    withStore(async ({ root, use, rebuild, forget }) => {
      const { digest } = await use((store) => putIndex(store, "v1"));
      forget();
      damage(root);
      const { added } = await rebuild();
      expect(added).toContain(digest);
      expect(readdirSync(join(root, place)).some((name) => name.includes(".damaged-"))).toBe(true);
      await use((store) => expect(store.artifacts.listIndexes()).toHaveLength(1));
    }),
  );

  test("refuses a store that a later version wrote, and leaves it", () =>
    withStore(async ({ root, use, rebuild }) => {
      await use((store) => putIndex(store, "v1"));
      writeFileSync(join(root, "content", "oci-layout"), '{"imageLayoutVersion":"9.0.0"}');
      const failure = await rebuild().catch((error: unknown) => error);
      expect(failure).toMatchObject({ kind: "unsupported" });
      expect(existsSync(join(root, LOCAL_STORE_DATABASE))).toBe(true);
    }));
});
