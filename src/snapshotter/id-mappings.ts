import type { Labels } from "../containerd/api/snapshots.ts";
import { SociError } from "../errors.ts";
import { GID_MAPPING_LABEL, UID_MAPPING_LABEL } from "./labels.ts";
import type { IdMap, IdMappings } from "./layer-mounter.ts";

/** As many as the kernel takes. user_namespaces(7) */
const MAX_RUNS = 340;
// 4294967295 is no id: it means "leave it as it is".
const MAX_ID = 0xffff_fffe;

/**
 * The user namespace that a snapshot's labels name; none without both.
 * @throws invalid-argument for a mapping that no kernel would take, or one without root
 */
export function idMappingsOf(labels: Labels): IdMappings | undefined {
  const uids = labels[UID_MAPPING_LABEL];
  const gids = labels[GID_MAPPING_LABEL];
  if (uids === undefined || gids === undefined) return undefined;
  return {
    uids: parseIdMaps(uids, UID_MAPPING_LABEL),
    gids: parseIdMaps(gids, GID_MAPPING_LABEL),
  };
}

/** The id outside that is a container's root; always there in what idMappingsOf() returns. */
export function hostRootOf(maps: readonly IdMap[]): number {
  const run = maps.find(({ containerId }) => containerId === 0);
  if (run === undefined) throw new Error("The mapping has no root");
  return run.hostId;
}

function parseIdMaps(text: string, label: string): readonly IdMap[] {
  const maps = text.split(",").map((run) => parseRun(run));
  const valid = maps.filter((run) => run !== undefined);
  if (valid.length < maps.length) {
    throw wrong(label, text, "want <container id>:<host id>:<length>[,…]");
  }
  if (valid.length > MAX_RUNS) {
    throw wrong(label, text, `it has ${valid.length} runs, want <= ${MAX_RUNS}`);
  }
  if (overlap(valid, "containerId") || overlap(valid, "hostId")) {
    throw wrong(label, text, "its runs overlap");
  }
  if (!valid.some(({ containerId }) => containerId === 0)) {
    throw wrong(label, text, "it does not map id 0, want it to: files of the image belong to that");
  }
  return valid;
}

function parseRun(text: string): IdMap | undefined {
  if (!/^\d{1,10}:\d{1,10}:\d{1,10}$/.test(text)) return undefined;
  const [containerId = 0, hostId = 0, length = 0] = text.split(":").map(Number);
  if (length === 0 || containerId + length - 1 > MAX_ID || hostId + length - 1 > MAX_ID) {
    return undefined;
  }
  return { containerId, hostId, length };
}

function overlap(maps: readonly IdMap[], side: "containerId" | "hostId"): boolean {
  const sorted = maps.toSorted((a, b) => a[side] - b[side]);
  return sorted.some((run, at) => {
    const next = sorted[at + 1];
    return next !== undefined && run[side] + run.length > next[side];
  });
}

function wrong(label: string, text: string, what: string): SociError {
  return new SociError(
    "invalid-argument",
    `Cannot use label "${label}" ${JSON.stringify(text.slice(0, 200))}: ${what}`,
  );
}
