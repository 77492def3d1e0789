/** One folder of src/ and what its files may import beside `errors.ts` and one another. */
export interface Layer {
  readonly folder: string;
  /** Imports go to lower ranks, or sideways where it is said. */
  readonly rank: number;
  /** Folders, single files (`oci/digest`), or every folder of a lower rank but `config`. */
  readonly mayImport: readonly string[] | "everything below";
}

/**
 * The layer table. A new edge is a design change: it is made here and in src/ARCHITECTURE.md in one
 * commit, which says why.
 */
export const LAYERS: readonly Layer[] = [
  { folder: "bytes", rank: 0, mayImport: [] },
  { folder: "async", rank: 0, mayImport: [] },
  { folder: "observability", rank: 0, mayImport: [] },
  { folder: "sys", rank: 1, mayImport: ["bytes"] },
  { folder: "deflate", rank: 1, mayImport: ["bytes"] },
  { folder: "tar", rank: 1, mayImport: ["bytes"] },
  { folder: "oci", rank: 1, mayImport: ["bytes", "async", "observability", "tar"] },
  { folder: "config", rank: 2, mayImport: ["oci/toml-lines"] },
  { folder: "ztoc", rank: 2, mayImport: ["bytes", "deflate", "tar", "oci/digest"] },
  { folder: "fuse", rank: 2, mayImport: ["bytes", "async", "observability", "sys"] },
  { folder: "containerd", rank: 2, mayImport: ["bytes", "async", "observability", "oci"] },
  { folder: "kubernetes", rank: 2, mayImport: ["bytes", "async", "observability", "oci"] },
  {
    folder: "soci",
    rank: 3,
    mayImport: ["bytes", "async", "observability", "sys", "oci", "ztoc"],
  },
  {
    folder: "cache",
    rank: 3,
    mayImport: ["bytes", "async", "observability", "sys", "oci", "ztoc"],
  },
  {
    folder: "keeper",
    rank: 3,
    mayImport: ["bytes", "async", "observability", "sys", "fuse/replies"],
  },
  { folder: "tree", rank: 3, mayImport: ["bytes", "ztoc"] },
  {
    folder: "fetch",
    rank: 4,
    mayImport: ["bytes", "async", "observability", "deflate", "oci", "ztoc", "cache"],
  },
  {
    folder: "image",
    rank: 5,
    mayImport: [
      "bytes",
      "async",
      "observability",
      "deflate",
      "tar",
      "oci",
      "ztoc",
      "soci",
      "tree",
      "cache",
      "fetch",
    ],
  },
  {
    folder: "snapshotter",
    rank: 4,
    mayImport: ["async", "observability", "sys", "oci", "containerd"],
  },
  {
    folder: "lazyfs",
    rank: 5,
    mayImport: [
      "bytes",
      "async",
      "observability",
      "sys/errno",
      "fuse/filesystem",
      "fuse/abi",
      "tree",
      "cache",
      "fetch",
    ],
  },
  { folder: "threads", rank: 6, mayImport: "everything below" },
  {
    folder: "install",
    rank: 7,
    mayImport: ["bytes", "async", "observability", "sys", "oci", "config", "containerd"],
  },
  { folder: "daemon", rank: 7, mayImport: "everything below" },
  { folder: "cli", rank: 8, mayImport: "everything below" },
];

/** Who may see the whole configuration; every other folder declares options of its own. */
export const CONFIG_READERS = ["config", "install", "daemon", "cli"] as const;

/** The table as it stands in src/ARCHITECTURE.md. */
export function layerTable(): string {
  const rows = LAYERS.map(({ folder, rank, mayImport }) => {
    const allowed =
      mayImport === "everything below"
        ? `everything below${CONFIG_READERS.some((reader) => reader === folder) ? "" : " but `config`"}`
        : mayImport.map((name) => `\`${name}\``).join(" ") || "nothing";
    return `| ${rank} | \`${folder}\` | ${allowed} |`;
  });
  return ["| rank | folder | may import |", "|---|---|---|", ...rows].join("\n");
}

/** Whether a file of `from` may import `target`, a path in src/ without extension. */
export function mayImport(from: Layer, target: string): boolean {
  const folder = target.split("/")[0] ?? "";
  if (target === "errors" || folder === from.folder) return true;
  if (from.mayImport !== "everything below") {
    return from.mayImport.some((allowed) => allowed === folder || allowed === target);
  }
  const layer = LAYERS.find((candidate) => candidate.folder === folder);
  if (layer === undefined || layer.rank >= from.rank) return false;
  return folder !== "config" || CONFIG_READERS.some((reader) => reader === from.folder);
}
