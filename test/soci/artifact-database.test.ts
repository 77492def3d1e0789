import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { ArtifactDatabase } from "../../src/soci/artifact-database.ts";
import { tempDir } from "../support/temp-dir.ts";
import { indexArtifact, ztocArtifact } from "./sample-artifact.ts";

async function withDatabase(
  work: (database: ArtifactDatabase, path: string) => void | Promise<void>,
): Promise<void> {
  await using dir = await tempDir();
  using database = ArtifactDatabase.open(dir.join("artifacts.sqlite"));
  await work(database, dir.join("artifacts.sqlite"));
}

test("ArtifactDatabase.get() gives back every field of what put() took", () =>
  withDatabase((database) => {
    const artifact = indexArtifact("a", { createdAt: 1_700_000_000_123, size: 2 ** 40 });
    database.put(artifact);
    expect(database.get(artifact.digest)).toEqual(artifact);
  }));

test("ArtifactDatabase.get() is undefined for what is not there", () =>
  withDatabase((database) => {
    expect(database.get(digestOf("a"))).toBeUndefined();
  }));

test("ArtifactDatabase.put() replaces a row of the same origin and name", () =>
  withDatabase((database) => {
    database.put(indexArtifact("a", { platform: "linux/amd64" }));
    database.put(indexArtifact("a", { platform: "linux/arm64" }));
    expect(database.listIndexes().map(({ platform }) => platform)).toEqual(["linux/arm64"]);
  }));

test("ArtifactDatabase keeps an index once for each name and image it was made for", () =>
  withDatabase((database) => {
    database.put(indexArtifact("a"));
    database.put(indexArtifact("a", { imageName: "other" }));
    database.put(indexArtifact("a", { ociDigest: digestOf("other image") }));
    expect(database.listIndexes().length).toBe(3);
  }));

test("ArtifactDatabase.put() does nothing when its condition fails", () =>
  withDatabase((database) => {
    expect(database.put(indexArtifact("a"), () => false)).toBe(false);
    expect(database.listIndexes()).toEqual([]);
  }));

test("ArtifactDatabase.put() changes nothing when its condition throws", () =>
  withDatabase((database) => {
    expect(() =>
      database.put(indexArtifact("a"), () => {
        throw new Error("disk");
      }),
    ).toThrow("disk");
    expect(database.put(indexArtifact("b"))).toBe(true);
  }));

test("ArtifactDatabase.listIndexes() gives the newest first and no zTOCs", () =>
  withDatabase((database) => {
    database.put(indexArtifact("old", { createdAt: 1 }));
    database.put(indexArtifact("new", { createdAt: 3 }));
    database.put(ztocArtifact("ztoc", { createdAt: 2 }));
    const digests = database.listIndexes().map(({ digest }) => digest);
    expect(digests).toEqual([digestOf("new"), digestOf("old")]);
  }));

test.each([
  { title: "name", options: { imageName: "n" }, want: ["a"] },
  {
    title: "image manifest",
    options: { imageManifests: [digestOf("i"), digestOf("x")] },
    want: ["b"],
  },
  { title: "platform", options: { platforms: ["linux/arm64", "linux/386"] }, want: ["c"] },
  { title: "an empty list of platforms", options: { platforms: [] }, want: [] },
  { title: "name and platform", options: { imageName: "n", platforms: ["linux/arm64"] }, want: [] },
])("ArtifactDatabase.listIndexes() filters by $title", ({ options, want }) =>
  withDatabase((database) => {
    database.put(indexArtifact("a", { imageName: "n" }));
    database.put(indexArtifact("b", { ociDigest: digestOf("i") }));
    database.put(indexArtifact("c", { platform: "linux/arm64" }));
    expect(database.listIndexes(options).map(({ digest }) => digest)).toEqual(want.map(digestOf));
  }),
);

test("ArtifactDatabase.listZtocs() sorts by digest and filters by digest and layer", () =>
  withDatabase((database) => {
    const all = ["a", "b", "c"].map((name) => ztocArtifact(name));
    for (const ztoc of all) database.put(ztoc);
    database.put(ztocArtifact("d", { ociDigest: digestOf("other") }));
    const digests = all.map(({ digest }) => digest).sort();
    expect(database.listZtocs({ layer: digestOf("layer") }).map(({ digest }) => digest)).toEqual(
      digests,
    );
    expect(database.listZtocs({ digest: digestOf("d") }).length).toBe(1);
    expect(database.listZtocs().length).toBe(4);
  }));

test("ArtifactDatabase.findZtocs() wants the layer and the span size", () =>
  withDatabase((database) => {
    database.put(ztocArtifact("a", { spanSize: 1 }));
    database.put(ztocArtifact("b", { spanSize: 2 }));
    database.put(indexArtifact("i", { ociDigest: digestOf("layer"), spanSize: 2 }));
    expect(database.findZtocs(digestOf("layer"), 2).map(({ digest }) => digest)).toEqual([
      digestOf("b"),
    ]);
  }));

test("ArtifactDatabase.findIndexes() gives the newest first", () =>
  withDatabase((database) => {
    database.put(indexArtifact("old", { createdAt: 1 }));
    database.put(indexArtifact("new", { createdAt: 2 }));
    database.put(indexArtifact("other", { ociDigest: digestOf("other") }));
    expect(database.findIndexes(digestOf("image")).map(({ createdAt }) => createdAt)).toEqual([
      2, 1,
    ]);
  }));

test("ArtifactDatabase.remove() removes every row of a digest, and says whether there was one", () =>
  withDatabase((database) => {
    database.put(indexArtifact("a"));
    database.put(indexArtifact("a", { imageName: "other" }));
    expect([database.remove(digestOf("a")), database.remove(digestOf("a"))]).toEqual([true, false]);
    expect(database.listIndexes()).toEqual([]);
  }));

test("ArtifactDatabase.whileAbsent() works only for what has no row", () =>
  withDatabase((database) => {
    const done: string[] = [];
    database.put(indexArtifact("a"));
    database.whileAbsent(digestOf("a"), () => done.push("a"));
    database.whileAbsent(digestOf("b"), () => done.push("b"));
    expect(done).toEqual(["b"]);
  }));

test("ArtifactDatabase is a file of mode 0600, kept for the next to open it", async () => {
  await using dir = await tempDir();
  const path = dir.join("artifacts.sqlite");
  using first = ArtifactDatabase.open(path);
  first.put(indexArtifact("a"));
  using second = ArtifactDatabase.open(path);
  expect(second.listIndexes().length).toBe(1);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("ArtifactDatabase.open() refuses a database of a later version", async () => {
  await using dir = await tempDir();
  const path = dir.join("artifacts.sqlite");
  ArtifactDatabase.open(path)[Symbol.dispose]();
  using raw = new Database(path);
  raw.run("PRAGMA user_version = 2");
  expect(() => ArtifactDatabase.open(path)).toThrow(
    expect.objectContaining({ kind: "failed-precondition" }),
  );
});

test("ArtifactDatabase.open() says of a damaged file that it is damaged", async () => {
  await using dir = await tempDir();
  const path = dir.join("artifacts.sqlite");
  writeFileSync(path, "this is no database, though it is long enough to be one".repeat(100));
  expect(() => ArtifactDatabase.open(path)).toThrow(expect.objectContaining({ kind: "data-loss" }));
});

test("ArtifactDatabase.open() says of a directory it cannot write that it cannot open the file", async () => {
  await using dir = await tempDir();
  expect(() => ArtifactDatabase.open(dir.join("no", "artifacts.sqlite"))).toThrow(
    expect.objectContaining({ kind: "failed-precondition" }),
  );
});

test("ArtifactDatabase refuses a row with a digest that is none", () =>
  withDatabase((database, path) => {
    database.put(indexArtifact("a"));
    using raw = new Database(path);
    raw.run("UPDATE artifacts SET digest = 'sha256:zz'");
    expect(() => database.listIndexes()).toThrow(expect.objectContaining({ kind: "data-loss" }));
  }));

test("ArtifactDatabase.open() lets many processes make it at once", async () => {
  await using dir = await tempDir();
  const path = dir.join("artifacts.sqlite");
  const children = Array.from({ length: 6 }, (_, index) =>
    Bun.spawn([process.execPath, join(import.meta.dir, "put-artifact.ts"), path, `${index}`], {
      stderr: "inherit",
    }),
  );
  expect(await Promise.all(children.map(({ exited }) => exited))).toEqual([0, 0, 0, 0, 0, 0]);
  using database = ArtifactDatabase.open(path);
  expect(database.listIndexes().length).toBe(6);
}, 30_000);
