import { expect } from "bun:test";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { decodeServedLayers } from "../../src/snapshotter/decode-snapshot-row.ts";
import { hostRootOf, idMappingsOf } from "../../src/snapshotter/id-mappings.ts";
import type { IdMappings } from "../../src/snapshotter/layer-mounter.ts";
import { fuzz } from "./fuzz.ts";

const UID = "containerd.io/snapshot/uidmapping";
const GID = "containerd.io/snapshot/gidmapping";

const id = fc.oneof(fc.nat(20), fc.constantFrom(65_536, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32));
const run = fc.tuple(id, id, id).map((parts) => parts.join(":"));
const text = fc.oneof(
  fc.array(run, { maxLength: 4 }).map((runs) => runs.join(",")),
  fc.string({ unit: fc.constantFrom(..."0123:,- +x"), maxLength: 30 }),
);

function mappingsOf(uids: string, gids: string): IdMappings | undefined {
  try {
    return idMappingsOf({ [UID]: uids, [GID]: gids });
  } catch (error) {
    if (!isKind(error, "invalid-argument")) throw error;
    return undefined;
  }
}

fuzz(
  "idMappingsOf() takes only what the kernel would, with a root, and as it was written",
  { runs: 2000 },
  fc.tuple(text, text),
  ([uids, gids]) => {
    const mappings = mappingsOf(uids, gids);
    if (mappings === undefined) return;
    for (const [maps, written] of [
      [mappings.uids, uids],
      [mappings.gids, gids],
    ] as const) {
      expect(hostRootOf(maps)).toBeGreaterThanOrEqual(0);
      expect(maps.map((map) => `${map.containerId}:${map.hostId}:${map.length}`).join(",")).toBe(
        written.replace(/(^|[:,])0+(?=\d)/g, "$1"),
      );
      const all = maps.flatMap((map) => [
        [map.containerId, map.containerId + map.length - 1],
        [map.hostId, map.hostId + map.length - 1],
      ]);
      for (const [first = -1, last = -1] of all) {
        expect(first).toBeLessThanOrEqual(last);
        expect(last).toBeLessThan(2 ** 32 - 1);
      }
    }
  },
);

const layer = {
  digest: digestOf("layer"),
  cacheKey: "k",
  size: 5,
  mediaType: "m",
  namespace: "n",
  imageReference: "r",
  manifestDigest: digestOf("manifest"),
};

fuzz(
  "decodeServedLayers() takes what was written and refuses anything else",
  { runs: 2000 },
  fc.tuple(fc.constantFrom(...Object.keys(layer)), fc.jsonValue(), fc.boolean()),
  ([key, value, keep]) => {
    const changed = keep ? layer : { ...layer, [key]: value };
    const written = JSON.stringify([changed]);
    try {
      expect(JSON.stringify(decodeServedLayers(written, 1))).toBe(written);
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      expect(keep).toBe(false);
    }
  },
);

fuzz(
  "decodeServedLayers() refuses any other text",
  { runs: 1000 },
  fc.oneof(fc.string(), fc.json()),
  (written) => {
    try {
      decodeServedLayers(written, 1);
    } catch (error) {
      if (!isKind(error, "data-loss")) throw error;
      return;
    }
    throw new Error("it was taken");
  },
);
