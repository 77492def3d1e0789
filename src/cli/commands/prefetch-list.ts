import { isKind } from "../../errors.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { type LocalStore, openLocalStore } from "../../soci/local-store.ts";
import { decodePrefetch } from "../../soci/prefetch.ts";
import {
  countPrefetchSpans,
  formatPrefetchTable,
  type ListedPrefetch,
} from "../../soci/prefetch-listing.ts";
import { type Paint, paintOf } from "../colors.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { formatTable } from "../table.ts";
import { formatAge } from "./format-age.ts";

export const prefetchListCommand = defineCommand({
  name: "prefetch list",
  summary: "List the prefetch artifacts in the state directory",
  description:
    "A prefetch artifact names spans of a layer that mounts fetch before they are asked for; `sociable create --prefetch-file` makes them.",
  examples: [
    { command: "sociable prefetch list", explanation: "Digest, layer and number of spans of each" },
  ],
  args: [],
  flags: {
    json: {
      type: "boolean",
      description:
        "Print a JSON array of objects: Digest, LayerDigest, TotalSpans (-1: unreadable), CreatedAt",
    },
    ...PAGER_FLAG,
  },
  async run({ flags, io, root, signal }) {
    await using store = await openLocalStore({ root, signal });
    const listed: ListedPrefetch[] = [];
    for (const artifact of store.artifacts.listPrefetch()) {
      signal.throwIfAborted();
      listed.push({ artifact, spans: await countSpans(store, artifact) });
    }
    await withPager({ io, flags }, async (out) => {
      const now = Date.now();
      if (flags.json) await writeJson(out, listed.map(reportOf));
      else if (out.isTty) await out.write(tableForPeople(listed, { paint: paintOf(io), now }));
      else await out.write(formatPrefetchTable(listed, now));
    });
  },
});

function tableForPeople(
  listed: readonly ListedPrefetch[],
  { paint, now }: { readonly paint: Paint; readonly now: number },
): string {
  const head = ["PREFETCH", "SPANS", "CREATED", "LAYER"];
  const rows = listed.map(({ artifact, spans }) => [
    artifact.digest,
    spans === undefined ? "unreadable" : String(spans),
    formatAge(artifact.createdAt, now),
    artifact.ociDigest,
  ]);
  return formatTable([head.map((cell) => paint("bold", cell)), ...rows], { right: [1] });
}

async function countSpans(store: LocalStore, { digest }: Artifact): Promise<number | undefined> {
  try {
    const bytes = await store.readPrefetchBytes(digest);
    return countPrefetchSpans(decodePrefetch(bytes, `prefetch artifact ${digest}`));
  } catch (error) {
    if (isKind(error, "not-found", "data-loss", "unsupported")) return undefined;
    throw error;
  }
}

function reportOf({ artifact: { digest, ociDigest, createdAt }, spans }: ListedPrefetch) {
  return {
    Digest: digest,
    LayerDigest: ociDigest,
    TotalSpans: spans ?? -1,
    CreatedAt: new Date(createdAt).toISOString(),
  };
}
