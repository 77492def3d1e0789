/** 2: before, a row had one layer. */
export const SCHEMA_VERSION = 2;

/** The label by which containerd looks for the snapshot that Prepare has made under another name. */
export const REF_LABEL = "containerd.io/snapshot.ref";

// AUTOINCREMENT: an id names a directory and what a LayerMounter holds, so it is never given again.
export const SCHEMA = `
  CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    parent_id INTEGER REFERENCES snapshots (id),
    kind TEXT NOT NULL CHECK (kind IN ('view', 'active', 'committed')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    labels TEXT NOT NULL,
    ref TEXT GENERATED ALWAYS AS (labels ->> '$."${REF_LABEL}"') STORED,
    size INTEGER NOT NULL,
    inodes INTEGER NOT NULL,
    layers TEXT,
    CHECK (layers IS NULL OR kind = 'committed')
  ) STRICT;
  CREATE INDEX snapshots_by_parent ON snapshots (parent_id) WHERE parent_id IS NOT NULL;
  CREATE INDEX snapshots_by_ref ON snapshots (ref) WHERE ref IS NOT NULL;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

export interface SnapshotRow {
  readonly id: number;
  readonly name: string;
  readonly parent_id: number | null;
  readonly parent: string | null;
  readonly kind: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly labels: string;
  readonly size: number;
  readonly inodes: number;
  readonly layers: string | null;
}

/** Rows of SnapshotRow; `s` is the table to put conditions on. */
export const SELECT_SNAPSHOT = `
  SELECT s.id, s.name, s.parent_id, p.name AS parent, s.kind, s.created_at, s.updated_at, s.labels, s.size, s.inodes, s.layers
  FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent_id`;

/** The snapshots below one, its parent first. */
export const SELECT_ANCESTORS = `
  WITH RECURSIVE chain (id, depth) AS (
    SELECT parent_id, 1 FROM snapshots WHERE id = ?1 AND parent_id IS NOT NULL
    UNION ALL
    SELECT t.parent_id, depth + 1 FROM chain JOIN snapshots t ON t.id = chain.id WHERE t.parent_id IS NOT NULL
  )
  SELECT s.id, s.name, s.parent_id, p.name AS parent, s.kind, s.created_at, s.updated_at, s.labels, s.size, s.inodes, s.layers
  FROM chain JOIN snapshots s ON s.id = chain.id LEFT JOIN snapshots p ON p.id = s.parent_id
  ORDER BY depth`;
