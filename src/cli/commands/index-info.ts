import { parseDigest } from "../../oci/digest.ts";
import { indentJson } from "../../soci/index-listing.ts";
import { openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import { defineCommand } from "../command.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { safeJson } from "../safe-json.ts";
import { expectIndex } from "./index-artifact.ts";

export const indexInfoCommand = defineCommand({
  name: "index info",
  summary: "Print a SOCI index as JSON",
  examples: [
    {
      command:
        "sociable index info sha256:bce743f41b9703a2f38178fa933765f995083e9ddb300d195df384c79c2437de",
      explanation: "An index that index list shows, by its digest",
    },
  ],
  args: [{ name: "digest", required: true, description: "Digest of a stored SOCI index" }],
  flags: {
    json: { type: "boolean", description: "Never paged; else the same: the output is always JSON" },
    ...PAGER_FLAG,
    ...STORE_FLAGS,
  },
  async run(context) {
    const { args, flags, io } = context;
    const digest = parseDigest(args.digest);
    await using store = await openArtifactStore(context);
    expectIndex(store, digest);
    const bytes = await store.readIndexBytes(digest);
    const json = indentJson(new TextDecoder().decode(bytes));
    await withPager({ io, flags }, (out) => out.write(`${out.isTty ? safeJson(json) : json}\n`));
  },
});
