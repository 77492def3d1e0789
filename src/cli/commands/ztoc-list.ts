import { SociError } from "../../errors.ts";
import { parseDigest } from "../../oci/digest.ts";
import type { Artifact } from "../../soci/artifact.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { formatZtocTable, listZtocsOfIndexes } from "../../soci/ztoc-listing.ts";
import { formatByteSize } from "../byte-size.ts";
import { type Paint, paintOf } from "../colors.ts";
import { openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { formatTable } from "../table.ts";
import { formatAge } from "./format-age.ts";
import { indexesOfImage } from "./index-of-image.ts";

export const ztocListCommand = defineCommand({
  name: "ztoc list",
  summary: "List the zTOCs in the state directory",
  examples: [
    { command: "sociable ztoc list", explanation: "Digest, size and layer of each" },
    {
      command: "sociable ztoc list --image-ref docker.io/library/alpine:latest --quiet",
      explanation: "Digests of the zTOCs that the SOCI indexes of an image name",
    },
  ],
  args: [],
  flags: {
    "ztoc-digest": {
      type: "string",
      valueName: "DIGEST",
      description: "Only the zTOC of this digest",
    },
    "image-ref": {
      type: "string",
      valueName: "IMAGE",
      description: "Only zTOCs that SOCI indexes of this image name",
    },
    quiet: { type: "boolean", short: "q", description: "Print digests only" },
    json: {
      type: "boolean",
      description: "Print a JSON array of objects: digest, size, layerDigest, spanSize, createdAt",
    },
    ...PAGER_FLAG,
    ...STORE_FLAGS,
  },
  async run(context) {
    const { flags, io } = context;
    const digest = flags["ztoc-digest"];
    await using store = await openArtifactStore(context);
    const ztocs = await listZtocs(store, {
      digest: digest === undefined ? undefined : parseDigest(digest),
      imageRef: flags["image-ref"],
    });
    await withPager({ io, flags }, async (out) => {
      if (flags.json) await writeJson(out, ztocs.map(reportOf));
      else if (flags.quiet) {
        const digests = new Set(ztocs.map((ztoc) => ztoc.digest));
        await out.write([...digests].map((line) => `${line}\n`).join(""));
      } else {
        await out.write(out.isTty ? tableForPeople(ztocs, paintOf(io)) : formatZtocTable(ztocs));
      }
    });
  },
});

function tableForPeople(ztocs: readonly Artifact[], paint: Paint): string {
  const now = Date.now();
  const head = ["ZTOC", "SIZE", "SPANS OF", "CREATED", "LAYER"];
  const rows = ztocs.map((ztoc) => [
    ztoc.digest,
    formatByteSize(ztoc.size),
    formatByteSize(ztoc.spanSize),
    formatAge(ztoc.createdAt, now),
    ztoc.ociDigest,
  ]);
  return formatTable([head.map((cell) => paint("bold", cell)), ...rows], { right: [1, 2] });
}

async function listZtocs(
  store: Pick<LocalStore, "artifacts" | "readIndex">,
  {
    digest,
    imageRef,
  }: { readonly digest: Artifact["digest"] | undefined; readonly imageRef: string | undefined },
): Promise<readonly Artifact[]> {
  if (imageRef === undefined) return store.artifacts.listZtocs({ digest });
  const ofImage = await listZtocsOfIndexes(store, indexesOfImage(store, imageRef));
  const found = ofImage.filter((ztoc) => digest === undefined || ztoc.digest === digest);
  if (digest !== undefined && found.length === 0) {
    throw new SociError(
      "not-found",
      `Cannot find zTOC ${digest}: it does not exist or is not of image ${JSON.stringify(imageRef)}`,
    );
  }
  return found;
}

function reportOf(ztoc: Artifact) {
  return {
    digest: ztoc.digest,
    size: ztoc.size,
    layerDigest: ztoc.ociDigest,
    spanSize: ztoc.spanSize,
    createdAt: new Date(ztoc.createdAt).toISOString(),
  };
}
