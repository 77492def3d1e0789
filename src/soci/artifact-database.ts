import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { SociError } from "../errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import type { Artifact, ArtifactType } from "./artifact.ts";

export interface ListIndexesOptions {
  /** Only indexes asked for by this name. */
  readonly imageName?: string | undefined;
  /** Only indexes of these image manifests. */
  readonly imageManifests?: readonly Digest[] | undefined;
  /** Only indexes of these platforms, spelled as they were when created. */
  readonly platforms?: readonly string[] | undefined;
}

export interface ListZtocsOptions {
  readonly digest?: Digest | undefined;
  readonly layer?: Digest | undefined;
}

const SCHEMA_VERSION = 1;
const BUSY_TIMEOUT_MS = 10_000;

// One artifact has several rows where it came from several things: a v2 index of two images with the
// same layers, the same index asked for by two names, one zTOC of two blobs that differ in their gzip
// header alone.
const SCHEMA = `
  CREATE TABLE artifacts (
    digest TEXT NOT NULL,
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    span_size INTEGER NOT NULL,
    oci_digest TEXT NOT NULL,
    image_digest TEXT NOT NULL,
    platform TEXT NOT NULL,
    location TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    image_name TEXT NOT NULL,
    PRIMARY KEY (digest, oci_digest, image_name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX artifacts_by_origin ON artifacts (oci_digest, type, span_size);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const COLUMNS =
  "digest, type, size, span_size, oci_digest, image_digest, platform, location, media_type, artifact_type, created_at, image_name";

/**
 * The list of SOCI artifacts in a local store: what each was made of, so that it can be found again. Any
 * number of processes may use it at once; each call is one transaction, on disk when it returns.
 * Every method throws `unavailable` when another process holds the database for over 10 seconds, and
 * `data-loss` when the file is damaged.
 */
export class ArtifactDatabase implements Disposable {
  readonly #db: Database;
  readonly #path: string;

  private constructor(db: Database, path: string) {
    this.#db = db;
    this.#path = path;
  }

  /**
   * Opens the database, making it (mode 0600) when it is not there.
   * @throws failed-precondition when it cannot be opened or a later version wrote it
   */
  static open(path: string): ArtifactDatabase {
    try {
      closeSync(openSync(path, "a", 0o600));
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot open artifact database "${path}"`, {
        cause,
      });
    }
    const db = open(path);
    const database = new ArtifactDatabase(db, path);
    try {
      database.#prepare();
    } catch (error) {
      db.close();
      throw error;
    }
    return database;
  }

  /**
   * Adds an artifact, or replaces its row of the same origin and name, if `condition` holds while no one
   * else can change the database; whether it did.
   */
  put(artifact: Artifact, condition: () => boolean = () => true): boolean {
    return this.#write(() => {
      if (!condition()) return false;
      this.#db
        .query(
          `INSERT OR REPLACE INTO artifacts (${COLUMNS}) VALUES ($digest, $type, $size, $spanSize, $ociDigest, $imageDigest, $platform, $location, $mediaType, $artifactType, $createdAt, $imageName)`,
        )
        .run({ ...artifact });
      return true;
    });
  }

  /** Every row, in the order of digests. */
  listAll(): readonly Artifact[] {
    return this.#select("ORDER BY digest, oci_digest, image_name", []);
  }

  /** Whether an artifact is listed as made of this manifest or layer. */
  has(digest: Digest, origin: Digest): boolean {
    return this.#select("WHERE digest = ? AND oci_digest = ? LIMIT 1", [digest, origin]).length > 0;
  }

  /** Removes the rows of artifacts for which `isThere` is false while no one can add any; their digests. */
  prune(isThere: (artifact: Artifact) => boolean): readonly Digest[] {
    return this.#write(() => {
      const gone = new Set(
        this.listAll()
          .filter((artifact) => !isThere(artifact))
          .map(({ digest }) => digest),
      );
      const remove = this.#db.query("DELETE FROM artifacts WHERE digest = ?");
      for (const digest of gone) remove.run(digest);
      return [...gone];
    });
  }

  /** The artifact of this digest; of several rows the newest. */
  get(digest: Digest): Artifact | undefined {
    return this.#select("WHERE digest = ? ORDER BY created_at DESC LIMIT 1", [digest])[0];
  }

  /** Newest first. */
  listIndexes({
    imageName,
    imageManifests,
    platforms,
  }: ListIndexesOptions = {}): readonly Artifact[] {
    return this.#select("WHERE type = 'soci_index' ORDER BY created_at DESC, digest", []).filter(
      (index) =>
        (imageName === undefined || index.imageName === imageName) &&
        (imageManifests === undefined || imageManifests.includes(index.ociDigest)) &&
        (platforms === undefined || platforms.includes(index.platform)),
    );
  }

  /** In the order of their digests. */
  listZtocs({ digest, layer }: ListZtocsOptions = {}): readonly Artifact[] {
    return this.#select(
      "WHERE type = 'soci_layer' AND (?1 IS NULL OR digest = ?1) AND (?2 IS NULL OR oci_digest = ?2) ORDER BY digest, oci_digest",
      [digest ?? null, layer ?? null],
    );
  }

  /** In the order of their digests. */
  listPrefetch(): readonly Artifact[] {
    return this.#select("WHERE type = 'soci_prefetch' ORDER BY digest, oci_digest", []);
  }

  /** zTOCs that were built of this layer with this span size, the first the one to use. */
  findZtocs(layer: Digest, spanSize: number): readonly Artifact[] {
    return this.#select(
      "WHERE type = 'soci_layer' AND oci_digest = ? AND span_size = ? ORDER BY digest",
      [layer, spanSize],
    );
  }

  /** Indexes of an image manifest, newest first. */
  findIndexes(imageManifest: Digest): readonly Artifact[] {
    return this.#select(
      "WHERE type = 'soci_index' AND oci_digest = ? ORDER BY created_at DESC, digest",
      [imageManifest],
    );
  }

  /** Removes every row of an artifact; whether there was one. */
  remove(digest: Digest): boolean {
    return this.#write(
      () => this.#db.query("DELETE FROM artifacts WHERE digest = ?").run(digest).changes > 0,
    );
  }

  /** Calls `work` while no one can add this artifact, unless it has a row. */
  whileAbsent(digest: Digest, work: () => void): void {
    this.#write(() => {
      const row = this.#db.query("SELECT 1 FROM artifacts WHERE digest = ?").get(digest);
      if (row === null) work();
    });
  }

  /** Closes the database; further calls fail. */
  [Symbol.dispose](): void {
    this.#db.close();
  }

  #prepare(): void {
    this.#guard(() => {
      this.#db.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      // Readers and the one writer do not wait for each other.
      useWriteAheadLog(this.#db);
      // WAL with NORMAL may lose the last commits to a power cut. A lost removal would leave a row whose
      // file is gone, and a few syncs an image cost nothing: so FULL.
      this.#db.run("PRAGMA synchronous = FULL");
    });
    this.#write(() => {
      const version = this.#userVersion();
      if (version === 0) {
        this.#db.run(SCHEMA);
      } else if (version !== SCHEMA_VERSION) {
        throw new SociError(
          "failed-precondition",
          `Cannot use artifact database "${this.#path}": its version is ${version}, want ${SCHEMA_VERSION}`,
          { hint: "A later version of this program wrote it: use that, or another root directory" },
        );
      }
    });
  }

  #userVersion(): number {
    const row = this.#db.query<{ readonly user_version: number }, []>("PRAGMA user_version").get();
    return row?.user_version ?? 0;
  }

  #select(where: string, values: (string | number | null)[]): Artifact[] {
    return this.#guard(() =>
      this.#db
        .query<Row, (string | number | null)[]>(`SELECT ${COLUMNS} FROM artifacts ${where}`)
        .all(...values)
        .map((row) => this.#artifactOf(row)),
    );
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

  #artifactOf(row: Row): Artifact {
    const { digest, type, oci_digest: ociDigest, image_digest: imageDigest } = row;
    if (!isDigest(digest) || !isDigest(ociDigest) || !isArtifactType(type)) {
      throw this.#badRow(row);
    }
    if (imageDigest !== "" && !isDigest(imageDigest)) throw this.#badRow(row);
    return {
      digest,
      type,
      size: row.size,
      spanSize: row.span_size,
      ociDigest,
      imageDigest,
      platform: row.platform,
      location: row.location,
      mediaType: row.media_type,
      artifactType: row.artifact_type,
      createdAt: row.created_at,
      imageName: row.image_name,
    };
  }

  #badRow(row: Row): SociError {
    const shown = JSON.stringify([row.digest, row.type, row.oci_digest, row.image_digest]);
    return new SociError(
      "data-loss",
      `Cannot use artifact database "${this.#path}": bad row ${shown.slice(0, 300)}`,
    );
  }
}

interface Row {
  readonly digest: string;
  readonly type: string;
  readonly size: number;
  readonly span_size: number;
  readonly oci_digest: string;
  readonly image_digest: string;
  readonly platform: string;
  readonly location: string;
  readonly media_type: string;
  readonly artifact_type: string;
  readonly created_at: number;
  readonly image_name: string;
}

function open(path: string): Database {
  try {
    return new Database(path, { readwrite: true, strict: true });
  } catch (error) {
    throw error instanceof SQLiteError ? asSociError(error, path) : error;
  }
}

// SQLite does not wait for others here, whatever the busy timeout, while one of them makes the file.
function useWriteAheadLog(db: Database): void {
  const deadline = Date.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      db.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      Bun.sleepSync(5);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof SQLiteError && /^SQLITE_(?:BUSY|LOCKED)/.test(error.code ?? "");
}

function asSociError(cause: SQLiteError, path: string): SociError {
  const code = cause.code ?? "";
  if (isBusy(cause)) {
    return new SociError(
      "unavailable",
      `Cannot use artifact database "${path}": another process has held it for ${BUSY_TIMEOUT_MS / 1000} seconds`,
      { cause },
    );
  }
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(code)) {
    return new SociError("data-loss", `Cannot use artifact database "${path}": it is damaged`, {
      cause,
      hint: "Remove it: what it lists is found again or built anew",
    });
  }
  return new SociError(
    "failed-precondition",
    `Cannot use artifact database "${path}": ${code || "SQLite"}: ${cause.message}`,
    { cause },
  );
}

function isArtifactType(text: string): text is ArtifactType {
  return text === "soci_index" || text === "soci_layer" || text === "soci_prefetch";
}
