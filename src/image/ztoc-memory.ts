import { join } from "node:path";
import { treesDirectory } from "../cache/cache-paths.ts";
import { systemFailure } from "../cache/system-failure.ts";
import { leaseTable, mapTable } from "../cache/table-file.ts";
import { writeTable } from "../cache/write-table.ts";
import { isKind } from "../errors.ts";
import { type Digest, digestOf, hexOf, isDigest } from "../oci/digest.ts";
import type { DiscoveryModes, ExplicitIndex } from "../soci/discover.ts";

/** zTOCs by the digests of their layers. */
export type ZtocsByLayer = ReadonlyMap<Digest, Digest>;

export interface ZtocMemoryOptions {
  readonly cacheRoot: string;
  /**
   * As the image was asked for. Whoever has a manifest of somebody else's image in a registry of his own
   * says there which index it has.
   */
  readonly sourceName: string;
  readonly index: ExplicitIndex | undefined;
  readonly modes: DiscoveryModes;
}

/**
 * Which zTOCs vouch for the layers of an image, kept beside its manifest and evicted as that is: so its
 * layers are found in the cache without a request. Only for who asks for the image in the same way: the
 * answer of one registry is none of another's.
 */
export class ZtocMemory {
  readonly #cacheRoot: string;
  readonly #asked: string;

  constructor({ cacheRoot, sourceName, index, modes }: ZtocMemoryOptions) {
    this.#cacheRoot = cacheRoot;
    const explicit =
      index === undefined || "digest" in index ? index?.digest : digestOf(index.bytes);
    this.#asked = JSON.stringify({ sourceName, explicit, modes: modesOf(modes) });
  }

  /** Nothing when nothing is known, or what was known is damaged. */
  read(manifest: Digest): ZtocsByLayer {
    try {
      const text = Buffer.from(mapTable(this.#pathOf(manifest))).toString("latin1");
      return decode(text, this.#headOf(manifest)) ?? new Map();
    } catch (error) {
      if (isKind(error, "not-found", "data-loss")) return new Map();
      throw error;
    }
  }

  /** Keeps these beside what is known, or notes that they were used. @throws failed-precondition when there is no room */
  async keep(manifest: Digest, ztocs: ZtocsByLayer): Promise<void> {
    if (ztocs.size === 0) return;
    const known = this.read(manifest);
    const path = this.#pathOf(manifest);
    if ([...ztocs].every(([layer, ztoc]) => known.get(layer) === ztoc)) {
      touch(path);
      return;
    }
    const all = [...new Map([...known, ...ztocs])].map(([layer, ztoc]) => `${layer} ${ztoc}\n`);
    const bytes = Buffer.from(`${this.#headOf(manifest)}\n${all.join("")}`, "latin1");
    try {
      await writeTable(path, bytes, { cacheRoot: this.#cacheRoot });
    } catch (error) {
      throw systemFailure(`keep the zTOCs of manifest ${manifest} in the cache`, error);
    }
  }

  /** Names who asks, whatever the file is called. */
  #headOf(manifest: Digest): string {
    return `1 ${digestOf(`${manifest}\n${this.#asked}`)}`;
  }

  #pathOf(manifest: Digest): string {
    const name = `ztocs-${hexOf(manifest)}-${hexOf(digestOf(this.#asked))}`;
    return join(treesDirectory(this.#cacheRoot), name);
  }
}

function modesOf({ v1, v2, local }: DiscoveryModes): readonly boolean[] {
  return [v1, v2, local];
}

function decode(text: string, head: string): ZtocsByLayer | undefined {
  const [first, ...lines] = text.split("\n");
  if (first !== head || lines.pop() !== "") return undefined;
  const ztocs = new Map<Digest, Digest>();
  for (const line of lines) {
    const [layer = "", ztoc = "", ...rest] = line.split(" ");
    if (!isDigest(layer) || !isDigest(ztoc) || rest.length > 0) return undefined;
    ztocs.set(layer, ztoc);
  }
  return ztocs;
}

function touch(path: string): void {
  try {
    leaseTable(path)[Symbol.dispose]();
  } catch (error) {
    // Evicted at this very moment.
    if (!isKind(error, "not-found")) throw error;
  }
}
