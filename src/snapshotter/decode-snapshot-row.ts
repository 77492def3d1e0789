import type { Labels } from "../containerd/api/snapshots.ts";
import { SociError } from "../errors.ts";
import { isDigest } from "../oci/digest.ts";
import type { ServedLayer } from "./layer-mounter.ts";
import type { SnapshotRow } from "./metastore-schema.ts";
import type { Snapshot } from "./snapshot.ts";

/** What a row says. @throws data-loss for one that this program cannot have written */
export function decodeSnapshotRow(row: SnapshotRow): Snapshot {
  const { kind } = row;
  if (kind !== "view" && kind !== "active" && kind !== "committed") {
    throw badRow(row.id, `kind is ${JSON.stringify(kind)}`);
  }
  if ((row.parent_id === null) !== (row.parent === null)) {
    throw badRow(row.id, `its parent ${row.parent_id} is not there`);
  }
  return {
    id: row.id,
    name: row.name,
    kind,
    parent:
      row.parent_id === null || row.parent === null
        ? undefined
        : { id: row.parent_id, name: row.parent },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    labels: decodeLabels(row),
    usage: { size: row.size, inodes: row.inodes },
    layers: row.layers === null ? undefined : decodeServedLayers(row.layers, row.id),
  };
}

function decodeLabels({ id, labels }: SnapshotRow): Labels {
  const value = objectOf(parseJson(labels, id, "labels"), id, "labels");
  for (const [key, label] of Object.entries(value)) {
    if (typeof label !== "string") throw badRow(id, `label ${JSON.stringify(key)} is no text`);
  }
  return value as Labels;
}

/** The layers of a row, from its JSON; `id` names the row in the error. @throws data-loss */
export function decodeServedLayers(text: string, id: number): readonly ServedLayer[] {
  const list = parseJson(text, id, "layers");
  if (!Array.isArray(list) || list.length === 0) {
    throw badRow(id, "layers is no list of layers");
  }
  return list.map((layer: unknown) => servedLayerOf(layer, id));
}

function servedLayerOf(layer: unknown, id: number): ServedLayer {
  const { digest, cacheKey, size, mediaType, namespace, imageReference, manifestDigest } = objectOf(
    layer,
    id,
    "a layer",
  );
  if (
    typeof digest !== "string" ||
    !isDigest(digest) ||
    typeof cacheKey !== "string" ||
    typeof size !== "number" ||
    !Number.isSafeInteger(size) ||
    size < 0 ||
    typeof mediaType !== "string" ||
    typeof namespace !== "string" ||
    typeof imageReference !== "string" ||
    typeof manifestDigest !== "string" ||
    !isDigest(manifestDigest)
  ) {
    throw badRow(id, `a layer is ${JSON.stringify(layer).slice(0, 300)}`);
  }
  return { digest, cacheKey, size, mediaType, namespace, imageReference, manifestDigest };
}

function parseJson(text: string, id: number, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badRow(id, `${what} is no JSON`, cause);
  }
}

function objectOf(value: unknown, id: number, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badRow(id, `${what} is no object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function badRow(id: number, what: string, cause?: unknown): SociError {
  return new SociError("data-loss", `Cannot use snapshot ${id} of the database: ${what}`, {
    cause,
  });
}
