import { SociError } from "../../errors.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { ztocReferences } from "../../soci/soci-index.ts";
import { formatZtocInfo } from "../../soci/ztoc-info.ts";
import { formatZtocTable } from "../../soci/ztoc-listing.ts";
import { parseGoDigest } from "./go-digest.ts";
import { indexesByPlatform } from "./indexes-of-image.ts";
import { readSociZtoc } from "./read-soci-ztoc.ts";
import type { SociCommand, SociGroup } from "./soci-command.ts";
import type { SociContext } from "./soci-context.ts";
import { QUIET_FLAG } from "./soci-flags.ts";
import { expectListed, newestRows } from "./soci-listed.ts";
import type { SociStore } from "./soci-store.ts";
import { sociGetFile } from "./soci-get-file.ts";

const BATCH_CHARACTERS = 256 * 1024;

const info: SociCommand = {
  name: "info",
  usage: "get detailed info about a ztoc",
  arguments: "<digest>",
  flags: [],
  async run(context, { words: [text = ""] }) {
    const digest = parseGoDigest(text);
    const store = await context.openStore();
    if (expectListed(store, digest).type === "soci_index") {
      throw new SociError(
        "invalid-argument",
        "the provided digest belongs to a SOCI index. Use `soci index info` to get the detailed information about it",
      );
    }
    const { ztoc, size } = await readSociZtoc(store, digest);
    let batch = "";
    for (const piece of formatZtocInfo(ztoc, size)) {
      batch += piece;
      if (batch.length < BATCH_CHARACTERS) continue;
      await context.io.stdout.write(batch);
      batch = "";
    }
    await context.io.stdout.write(batch);
  },
};

const list: SociCommand = {
  name: "list",
  aliases: ["ls"],
  usage: "list ztocs",
  arguments: "[flags]",
  flags: [
    { names: ["ztoc-digest"], type: "text", usage: "only the ztoc of this digest" },
    { names: ["image-ref"], type: "text", usage: "only ztocs of this image" },
    QUIET_FLAG,
  ],
  async run(context, { flags }) {
    const { io, signal } = context;
    const digest = flags.text("ztoc-digest");
    const image = flags.text("image-ref");
    const store = await context.openStore();
    await store.refresh({ signal });
    const all =
      image === ""
        ? newestRows(store.artifacts.listZtocs())
        : await ztocsOfImage(image, { context, store });
    const ztocs = all.filter((ztoc) => digest === "" || ztoc.digest === digest);
    if (image !== "" && digest !== "" && ztocs.length === 0) {
      throw new SociError(
        "not-found",
        "the specified ztoc doesn't exist or is not associated with the specified image",
      );
    }
    await io.stdout.write(
      flags.bool("quiet")
        ? ztocs.map((ztoc) => `${ztoc.digest}\n`).join("")
        : formatZtocTable(ztocs),
    );
  },
};

/** Those that its indexes name, index by index. */
async function ztocsOfImage(
  image: string,
  { context, store }: { readonly context: SociContext; readonly store: SociStore },
): Promise<readonly Artifact[]> {
  const found: Artifact[] = [];
  for (const { digest } of await indexesByPlatform(image, { context, store })) {
    for (const { descriptor, layer } of ztocReferences(await store.readIndex(digest))) {
      const [ztoc] = store.artifacts.listZtocs({ digest: descriptor.digest, layer });
      if (ztoc !== undefined) found.push(ztoc);
    }
  }
  return found;
}

export const sociZtoc: SociGroup = {
  name: "ztoc",
  usage: "manage ztocs",
  entries: [info, sociGetFile, list],
};
