import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { formatIndexTable, indentJson } from "../../soci/index-listing.ts";
import { safeText } from "../safe-text.ts";
import { parseGoDigest } from "./go-digest.ts";
import { parseGoPlatform } from "./go-platform.ts";
import { indexesOfImage } from "./indexes-of-image.ts";
import type { SociCommand, SociGroup } from "./soci-command.ts";
import type { SociContext } from "./soci-context.ts";
import { QUIET_FLAG } from "./soci-flags.ts";
import { expectListed, newestRows } from "./soci-listed.ts";
import type { SociStore } from "./soci-store.ts";

const info: SociCommand = {
  name: "info",
  usage: "display an index",
  arguments: "<digest>",
  flags: [],
  async run(context, { words: [text = ""] }) {
    const digest = parseGoDigest(text);
    const store = await context.openStore();
    if (expectListed(store, digest).type === "soci_layer") {
      throw new SociError(
        "invalid-argument",
        'the provided digest is of ztoc not SOCI index. Use "soci ztoc info" command to get detailed info of ztoc',
      );
    }
    const json = new TextDecoder().decode(await store.readIndexBytes(digest));
    await context.io.stdout.write(`${indentJson(json)}\n`);
  },
};

const list: SociCommand = {
  name: "list",
  aliases: ["ls"],
  usage: "list indices",
  arguments: "[flags]",
  flags: [
    { names: ["ref"], type: "text", usage: "only indices of this image" },
    QUIET_FLAG,
    { names: ["platform", "p"], type: "list", usage: "only indices of this platform; repeatable" },
  ],
  async run(context, { flags }) {
    const { io } = context;
    const ref = flags.text("ref");
    const platforms = flags.list("platform").map((text) => parseGoPlatform(text));
    const wanted = platforms.length === 0 ? undefined : platforms;
    const store = await context.openStore();
    await store.refresh({ signal: context.signal });
    const indexes =
      ref === ""
        ? newestRows(store.artifacts.listIndexes({ platforms: wanted?.map(formatPlatform) }))
        : await indexesOfImage(ref, { context, store, platforms: wanted });
    if (flags.bool("quiet")) {
      await io.stdout.write(indexes.map(({ digest }) => `${digest}\n`).join(""));
    } else {
      await io.stdout.write(formatIndexTable(await withNames(indexes, context), Date.now()));
    }
  },
};

/** A row for each name of the image, or one without. */
async function withNames(
  indexes: readonly Artifact[],
  { space, signal }: SociContext,
): Promise<readonly Artifact[]> {
  if (indexes.length === 0) return [];
  const names = new Map<string, string[]>();
  for (const { name, target } of await space.images.list([], { signal })) {
    const digest = target?.digest ?? "";
    names.set(digest, [...(names.get(digest) ?? []), name]);
  }
  return indexes.flatMap((index) =>
    (names.get(index.imageDigest) ?? [""]).toSorted().map((name) => ({
      ...index,
      imageName: safeText(name),
      platform: safeText(index.platform),
      mediaType: safeText(index.mediaType),
    })),
  );
}

const remove: SociCommand = {
  name: "remove",
  aliases: ["rm"],
  usage: "remove an index from local db, and from the content store",
  arguments: "[flags] [<digest>...]",
  flags: [{ names: ["ref"], type: "text", usage: "remove all indices of this image" }],
  async run(context, { flags, words }) {
    const { signal } = context;
    context.contentStore("cannot create local content store: ");
    const ref = flags.text("ref");
    if (ref !== "" && words.length > 0) {
      throw new SociError(
        "invalid-argument",
        "please provide either index digests or image ref, but not both",
      );
    }
    const store = await context.openStore();
    if (ref !== "") {
      const indexes = await indexesOfImage(ref, { context, store });
      for (const { digest } of indexes) await store.remove(digest, { signal });
      return;
    }
    const digests = words.map((word) => expectIndex(store, word));
    for (const digest of digests) await store.remove(digest, { signal });
  },
};

function expectIndex({ artifacts }: SociStore, word: string): Digest {
  const listed = artifacts.listAll();
  const found = listed.find(({ digest }) => digest === word);
  if (found?.type === "soci_index") return found.digest;
  if (found !== undefined) {
    throw new SociError("invalid-argument", `the digest ${word} does not correspond to an index`);
  }
  throw new SociError(
    "not-found",
    listed.length === 0
      ? "soci_artifacts not found"
      : `the index of the digest ${word} doesn't exist`,
  );
}

export const sociIndex: SociGroup = {
  name: "index",
  usage: "manage indices",
  entries: [info, list, remove],
};
