import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { digestOf } from "../../src/oci/digest.ts";
import type { ServedLayer } from "../../src/snapshotter/layer-mounter.ts";
import { Metastore } from "../../src/snapshotter/metastore.ts";
import { NO_USAGE } from "../../src/snapshotter/snapshot.ts";
import { failureOf } from "../support/failure.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

// What the rules are, the suite of snapshotters says; here is what lies on disk.

const LAYER: ServedLayer = {
  digest: digestOf("layer"),
  cacheKey: digestOf("layer"),
  size: 2 ** 40,
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  namespace: "k8s.io",
  imageReference: "registry.example/app:v1",
  manifestDigest: digestOf("manifest"),
};
const REF = "containerd.io/snapshot.ref";

async function withFile(work: (file: string, dir: TempDir) => void): Promise<void> {
  await using dir = await tempDir();
  work(dir.join("snapshots.sqlite"), dir);
}

/** Changes the database behind the metastore's back. */
function tamper(file: string, ...statements: readonly string[]): void {
  const db = new Database(file);
  for (const statement of statements) db.run(statement);
  db.close();
}

test("Metastore gives back every field, also when it was opened again", () =>
  withFile((file) => {
    let made: unknown;
    {
      using store = Metastore.open(file);
      store.createServed({ name: "one", labels: { [REF]: "one", "a.b/c": 'quo"ted' } }, [LAYER]);
      made = store.create("active", { name: "a", parent: "one", labels: { x: "" } });
    }
    using store = Metastore.open(file);
    expect(store.get("a")).toEqual(made as never);
    expect(store.get("a")).toMatchObject({ parent: { id: 1, name: "one" }, labels: {} });
    expect(store.get("one")).toMatchObject({
      id: 1,
      kind: "committed",
      layers: [LAYER],
      usage: NO_USAGE,
      labels: { [REF]: "one", "a.b/c": 'quo"ted' },
    });
  }));

test("Metastore makes a file that only its owner can read", () =>
  withFile((file) => {
    using _store = Metastore.open(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  }));

test("Metastore is for one at a time", () =>
  withFile((file) => {
    {
      using _store = Metastore.open(file);
      expect(failureOf(() => Metastore.open(file))).toMatchObject({
        kind: "failed-precondition",
        message: expect.stringContaining("another process has it open"),
      });
    }
    using _again = Metastore.open(file);
  }));

test("Metastore refuses a database of a later version, and does not change it", () =>
  withFile((file) => {
    Metastore.open(file)[Symbol.dispose]();
    tamper(file, "PRAGMA user_version = 99");
    expect(failureOf(() => Metastore.open(file))).toMatchObject({
      kind: "failed-precondition",
      message: expect.stringContaining("version is 99"),
    });
    const db = new Database(file);
    expect(db.query("PRAGMA user_version").get()).toEqual({ user_version: 99 });
    db.close();
  }));

test("Metastore says that a file is no database", () =>
  withFile((file) => {
    writeFileSync(file, "no database at all ".repeat(1000));
    expect(failureOf(() => Metastore.open(file))).toMatchObject({ kind: "data-loss" });
  }));

test("Metastore says where it cannot be", () =>
  withFile((_file, dir) => {
    expect(failureOf(() => Metastore.open(dir.join("no", "such")))).toMatchObject({
      kind: "failed-precondition",
    });
  }));

test.each([
  { title: "labels that are no JSON", sql: "labels = '{}', kind = 'committed', layers = '{'" },
  { title: "labels that are a list", sql: "labels = '[]'" },
  { title: "a label that is a number", sql: "labels = '{\"a\":1}'" },
  { title: "a layer that is text", sql: "kind = 'committed', layers = '\"x\"'" },
  { title: "a layer without fields", sql: "kind = 'committed', layers = '[{}]'" },
  {
    title: "a layer of a negative size",
    sql: `kind = 'committed', layers = '${JSON.stringify([{ ...LAYER, size: -1 }])}'`,
  },
  {
    title: "a layer whose digest is none",
    sql: `kind = 'committed', layers = '${JSON.stringify([{ ...LAYER, digest: "../../x" }])}'`,
  },
])("Metastore says which row is bad: $title", ({ sql }) =>
  withFile((file) => {
    {
      using store = Metastore.open(file);
      store.create("active", { name: "a", labels: {} });
    }
    tamper(file, `UPDATE snapshots SET ${sql}`);
    using store = Metastore.open(file);
    expect(failureOf(() => store.get("a"))).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("snapshot 1 "),
    });
  }),
);

test("Metastore says that a parent's row is gone", () =>
  withFile((file) => {
    {
      using store = Metastore.open(file);
      store.createServed({ name: "one", labels: {} }, [LAYER]);
      store.create("active", { name: "a", parent: "one", labels: {} });
    }
    tamper(file, "PRAGMA foreign_keys = OFF", "DELETE FROM snapshots WHERE name = 'one'");
    using store = Metastore.open(file);
    expect(failureOf(() => store.get("a"))).toMatchObject({ kind: "data-loss" });
  }));

test("Metastore.create() leaves no row when what belongs to it cannot be made", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    const error = failureOf(() =>
      store.create("active", { name: "a", labels: {} }, () => {
        throw new Error("no room");
      }),
    );
    expect(error).toMatchObject({ message: "no room" });
    expect(store.ids()).toEqual([]);
  }));

test("Metastore.create() tells the id and the parent of what is to be made", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    store.createServed({ name: "one", labels: {} }, [LAYER]);
    const seen: unknown[] = [];
    store.create("view", { name: "v", parent: "one", labels: {} }, (id, parent) =>
      seen.push(id, parent?.name),
    );
    expect(seen).toEqual([2, "one"]);
  }));

test("Metastore never gives an id again that a row has had", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    const first = store.create("active", { name: "a", labels: {} });
    store.remove("a");
    expect(store.create("active", { name: "a", labels: {} }).id).toBeGreaterThan(first.id);
  }));

test("Metastore.ids() finds by the label snapshot.ref, by what it is now", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    const { id } = store.createServed({ name: "one", labels: { [REF]: "x" } }, [LAYER]);
    store.createServed({ name: "two", labels: { ref: "x" } }, [LAYER]);
    expect(store.ids({ ref: "x" })).toEqual([id]);
    store.update("one", { [REF]: "y" }, [`labels.${REF}`]);
    expect(store.ids({ ref: "x" })).toEqual([]);
    expect(store.ids({ ref: "y" })).toEqual([id]);
  }));

test("Metastore.byIds() gives those that are there, by name", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    for (const name of ["b", "c", "a"]) store.create("active", { name, labels: {} });
    const ids = store.ids();
    store.remove("c");
    expect(store.byIds(ids).map(({ name }) => name)).toEqual(["a", "b"]);
  }));

test("Metastore.idsWithDirectory() leaves out what is served", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    store.createServed({ name: "one", labels: {} }, [LAYER]);
    const { id } = store.create("active", { name: "a", parent: "one", labels: {} });
    expect([...store.idsWithDirectory()]).toEqual([id]);
  }));

test("Metastore keeps names apart whatever is in them", () =>
  withFile((file) => {
    using store = Metastore.open(file);
    const names = ["a", "A", "a ", "a\0", "a\0b", "ä", "a\u0308", "'; DROP TABLE snapshots; --"];
    for (const name of names) store.create("active", { name, labels: { name } });
    for (const name of names) expect(store.get(name)).toMatchObject({ name, labels: { name } });
  }));
