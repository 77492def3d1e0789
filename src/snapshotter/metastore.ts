import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import type { Labels } from "../containerd/api/snapshots.ts";
import { type ErrorKind, SociError } from "../errors.ts";
import { applyLabelUpdate, withoutEmpty } from "./label-update.ts";
import type { ServedLayer } from "./layer-mounter.ts";
import { decodeSnapshotRow } from "./decode-snapshot-row.ts";
import {
  SCHEMA,
  SCHEMA_VERSION,
  SELECT_ANCESTORS,
  SELECT_SNAPSHOT,
  type SnapshotRow,
} from "./metastore-schema.ts";
import { MicrosecondClock } from "./microsecond-clock.ts";
import { NO_USAGE, type Snapshot, type Usage } from "./snapshot.ts";
import { WalFile } from "./wal-file.ts";

export interface NewSnapshot {
  readonly name: string;
  /** The name of a committed snapshot; none, or empty: nothing is below. */
  readonly parent?: string | undefined;
  readonly labels: Labels;
}

export interface CommitSnapshot {
  readonly key: string;
  readonly name: string;
  /** All that it will have: those of the active snapshot go. */
  readonly labels: Labels;
  readonly usage: Usage;
  /** A parent for one that has none; else it must be the one it has. */
  readonly parent?: string | undefined;
}

export interface SnapshotSelection {
  /** Only with this value of the label `containerd.io/snapshot.ref`. */
  readonly ref?: string | undefined;
}

/**
 * The rows of all snapshots, and the rules that containerd has for them (core/snapshots/storage). Each
 * call is one transaction: seen by all later ones when it returns, and not at all when it throws. It
 * may be lost with the power until sync() says otherwise, never with the process.
 * One process at a time. Every method throws `data-loss` when the file is damaged, and `unavailable`
 * when the disk is full.
 */
export class Metastore implements Disposable {
  readonly #db: Database;
  readonly #path: string;
  readonly #clock = new MicrosecondClock();

  #wal: WalFile | undefined;

  private constructor(db: Database, path: string) {
    this.#db = db;
    this.#path = path;
  }

  /**
   * Opens the database, making it (mode 0600) when it is not there.
   * @throws failed-precondition when it cannot be opened, another process has it open, or a later
   *   version wrote it
   */
  static open(path: string): Metastore {
    let db: Database;
    try {
      closeSync(openSync(path, "a", 0o600));
      db = new Database(path, { readwrite: true, strict: true });
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot open snapshot database "${path}"`, {
        cause,
      });
    }
    const metastore = new Metastore(db, path);
    try {
      metastore.#initialize();
      metastore.#wal = new WalFile(path);
    } catch (error) {
      db.close();
      throw error;
    }
    return metastore;
  }

  /** @throws not-found */
  get(name: string): Snapshot {
    const snapshot = this.find(name);
    if (snapshot === undefined) throw notFound(name);
    return snapshot;
  }

  find(name: string): Snapshot | undefined {
    return this.#guard(() => {
      const row = this.#db
        .query<SnapshotRow, [string]>(`${SELECT_SNAPSHOT} WHERE s.name = ?`)
        .get(name);
      return row === null ? undefined : decodeSnapshotRow(row);
    });
  }

  /**
   * Adds an active snapshot or a view. `prepare` makes what belongs to it, under an id that nobody has
   * had; when it throws, there is no row.
   * @throws already-exists, not-found for the parent, invalid-argument when that is not committed
   */
  create(
    kind: "active" | "view",
    snapshot: NewSnapshot,
    prepare: (id: number, parent: Snapshot | undefined) => void = () => undefined,
  ): Snapshot {
    return this.#write(() => {
      const parent = this.parentOf(snapshot);
      const id = this.#insert(kind, snapshot, parent);
      prepare(id, parent);
      return this.get(snapshot.name);
    });
  }

  /** Adds a committed snapshot that a LayerMounter shows. @throws as create() */
  createServed(snapshot: NewSnapshot, layers: readonly ServedLayer[]): Snapshot {
    return this.#write(() => {
      this.#insert("committed", snapshot, this.parentOf(snapshot), layers);
      return this.get(snapshot.name);
    });
  }

  /** The parent that a new snapshot would have. @throws already-exists, not-found, invalid-argument */
  parentOf({ name, parent }: Pick<NewSnapshot, "name" | "parent">): Snapshot | undefined {
    if (name === "") {
      throw new SociError("invalid-argument", "Cannot make a snapshot: its key is empty");
    }
    const found = this.#committedParent(parent);
    if (this.find(name) !== undefined) {
      throw new SociError("already-exists", `snapshot ${JSON.stringify(name)}: already exists`);
    }
    return found;
  }

  /**
   * Makes a committed snapshot of an active one. It keeps its id.
   * @throws not-found, already-exists, failed-precondition when it is not active, invalid-argument for
   *   another parent than it has
   */
  commit({ key, name, labels, usage, parent }: CommitSnapshot): Snapshot {
    return this.#write(() => {
      if (name === "") {
        throw new SociError("invalid-argument", "Cannot commit a snapshot: its name is empty");
      }
      if (this.find(name) !== undefined) {
        throw new SociError(
          "already-exists",
          `committed snapshot ${JSON.stringify(name)}: already exists`,
        );
      }
      const active = this.get(key);
      if (active.kind !== "active") {
        throw new SociError(
          "failed-precondition",
          `snapshot ${JSON.stringify(key)} is not active: it is ${active.kind}`,
        );
      }
      const below = this.#rebase(active, parent);
      const now = this.#clock.now();
      this.#db
        .query(
          "UPDATE snapshots SET name = $name, kind = 'committed', parent_id = $parent, created_at = $now, updated_at = $now, labels = $labels, size = $size, inodes = $inodes WHERE id = $id",
        )
        .run({
          id: active.id,
          name,
          parent: below,
          now,
          labels: JSON.stringify(withoutEmpty(labels)),
          ...usage,
        });
      return this.get(name);
    });
  }

  /** Removes a row, and returns what it was. @throws not-found, failed-precondition when it has a child */
  remove(name: string): Snapshot {
    return this.#write(() => {
      const snapshot = this.get(name);
      const child = this.#db
        .query("SELECT 1 FROM snapshots WHERE parent_id = ? LIMIT 1")
        .get(snapshot.id);
      if (child !== null) {
        throw new SociError(
          "failed-precondition",
          `cannot remove snapshot with child: ${JSON.stringify(name)}`,
        );
      }
      this.#db.query("DELETE FROM snapshots WHERE id = ?").run(snapshot.id);
      return snapshot;
    });
  }

  /**
   * Changes labels: all of them, or with field paths (`labels`, `labels.<key>`) those. An empty value
   * takes a label away.
   * @throws not-found, invalid-argument for any other field
   */
  update(name: string, labels: Labels, fieldPaths: readonly string[] = []): Snapshot {
    return this.#write(() => {
      const old = this.get(name);
      const changed = applyLabelUpdate(old, labels, fieldPaths);
      this.#db
        .query("UPDATE snapshots SET labels = ?, updated_at = ? WHERE id = ?")
        .run(JSON.stringify(changed), Math.max(this.#clock.now(), old.updatedAt + 1), old.id);
      return this.get(name);
    });
  }

  /** The snapshots below one, its parent first. */
  ancestors(id: number): readonly Snapshot[] {
    return this.#guard(() =>
      this.#db
        .query<SnapshotRow, [number]>(SELECT_ANCESTORS)
        .all(id)
        .map((row) => decodeSnapshotRow(row)),
    );
  }

  /**
   * The ids of all snapshots, or of a selection, in the order of their names. What comes and goes
   * while they are looked at does not matter: byIds() leaves out what is gone.
   */
  ids({ ref }: SnapshotSelection = {}): readonly number[] {
    return this.#guard(() =>
      ref === undefined
        ? this.#db
            .query<{ id: number }, []>("SELECT id FROM snapshots ORDER BY name")
            .all()
            .map(({ id }) => id)
        : this.#db
            .query<{ id: number }, [string]>("SELECT id FROM snapshots WHERE ref = ? ORDER BY name")
            .all(ref)
            .map(({ id }) => id),
    );
  }

  /** Those of these ids that there are, in the order of their names. */
  byIds(ids: readonly number[]): readonly Snapshot[] {
    return this.#guard(() =>
      this.#db
        .query<SnapshotRow, [string]>(
          `${SELECT_SNAPSHOT} WHERE s.id IN (SELECT value FROM json_each(?)) ORDER BY s.name`,
        )
        .all(JSON.stringify(ids))
        .map((row) => decodeSnapshotRow(row)),
    );
  }

  /** The ids of all snapshots that have a directory. */
  idsWithDirectory(): ReadonlySet<number> {
    return this.#guard(
      () =>
        new Set(
          this.#db
            .query<{ id: number }, []>("SELECT id FROM snapshots WHERE layers IS NULL")
            .all()
            .map(({ id }) => id),
        ),
    );
  }

  /** Resolves when all that was changed before this call is on disk. @throws internal when it cannot be */
  async sync(): Promise<void> {
    await this.#wal?.sync();
  }

  /** Closes the database; further calls fail. Twice is fine. Not while sync() is under way. */
  [Symbol.dispose](): void {
    this.#wal?.[Symbol.dispose]();
    this.#wal = undefined;
    this.#db.close();
  }

  #initialize(): void {
    this.#guard(() => {
      this.#db.run("PRAGMA busy_timeout = 0");
      // Held until the end: a second server on the same root would undo what this one does.
      this.#db.run("PRAGMA locking_mode = EXCLUSIVE");
      this.#db.run("PRAGMA journal_mode = WAL");
      this.#db.run("PRAGMA synchronous = NORMAL");
      this.#db.run("PRAGMA foreign_keys = ON");
    });
    this.#write(() => {
      const row = this.#db
        .query<{ readonly user_version: number }, []>("PRAGMA user_version")
        .get();
      const version = row?.user_version ?? 0;
      if (version === 0) {
        this.#db.run(SCHEMA);
      } else if (version !== SCHEMA_VERSION) {
        throw new SociError(
          "failed-precondition",
          `Cannot use snapshot database "${this.#path}": its version is ${version}, want ${SCHEMA_VERSION}`,
          { hint: "Another version of this program wrote it: use that, or another root directory" },
        );
      }
    });
  }

  #insert(
    kind: Snapshot["kind"],
    { name, labels }: NewSnapshot,
    parent: Snapshot | undefined,
    layers?: readonly ServedLayer[],
  ): number {
    const now = this.#clock.now();
    const { lastInsertRowid } = this.#db
      .query(
        "INSERT INTO snapshots (name, parent_id, kind, created_at, updated_at, labels, size, inodes, layers) VALUES ($name, $parent, $kind, $now, $now, $labels, $size, $inodes, $layers)",
      )
      .run({
        name,
        parent: parent?.id ?? null,
        kind,
        now,
        labels: JSON.stringify(withoutEmpty(labels)),
        ...NO_USAGE,
        layers: layers === undefined ? null : JSON.stringify(layers),
      });
    return Number(lastInsertRowid);
  }

  #committedParent(
    parent: string | undefined,
    notCommitted: ErrorKind = "invalid-argument",
  ): Snapshot | undefined {
    if (parent === undefined || parent === "") return undefined;
    const found = this.find(parent);
    if (found === undefined) {
      throw new SociError("not-found", `parent snapshot ${JSON.stringify(parent)}: not found`);
    }
    if (found.kind !== "committed") {
      throw new SociError(
        notCommitted,
        `parent ${JSON.stringify(parent)} is not a committed snapshot: it is ${found.kind}`,
      );
    }
    return found;
  }

  #rebase(active: Snapshot, parent: string | undefined): number | null {
    const own = active.parent;
    if (parent === undefined || parent === "" || parent === own?.name) return own?.id ?? null;
    if (own !== undefined) {
      throw new SociError(
        "invalid-argument",
        `cannot change parent of active snapshot ${JSON.stringify(active.name)} on commit: it is ${JSON.stringify(own.name)}`,
      );
    }
    return this.#committedParent(parent, "failed-precondition")?.id ?? null;
  }

  #write<T>(work: () => T): T {
    return this.#guard(() => this.#db.transaction(work).immediate());
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof SQLiteError ? asSociError(error, this.#path) : error;
    }
  }
}

function notFound(name: string): SociError {
  return new SociError("not-found", `snapshot ${JSON.stringify(name)}: not found`);
}

function asSociError(cause: SQLiteError, path: string): SociError {
  const code = cause.code ?? "";
  const what = `Cannot use snapshot database "${path}"`;
  if (/^SQLITE_(?:BUSY|LOCKED)/.test(code)) {
    return new SociError("failed-precondition", `${what}: another process has it open`, {
      cause,
      hint: "Only one server can use a root directory",
    });
  }
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(code)) {
    return new SociError("data-loss", `${what}: it is damaged`, {
      cause,
      hint: "Remove the images that containerd has in this snapshotter, then the root directory",
    });
  }
  if (/^SQLITE_FULL/.test(code)) {
    return new SociError("unavailable", `${what}: no room is left on its disk`, { cause });
  }
  return new SociError("failed-precondition", `${what}: ${code || "SQLite"}: ${cause.message}`, {
    cause,
  });
}
