import { SociError } from "../../errors.ts";
import { formatZtocInfo } from "../../soci/ztoc-info.ts";
import { openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import { defineCommand } from "../command.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { safeJson } from "../safe-json.ts";
import { readZtoc } from "./ztoc-argument.ts";

/** Characters that are written at once: a layer may have a million files. */
const BATCH_CHARACTERS = 256 * 1024;

export const ztocInfoCommand = defineCommand({
  name: "ztoc info",
  summary: "Print a zTOC as JSON",
  examples: [
    {
      command: "sociable ztoc info layer.ztoc",
      explanation: "Spans and files of a zTOC in a file",
    },
    {
      command:
        "sociable ztoc info sha256:f09f330e69c2d1dc2db51723e64ba325acee1da83b992e3f43bb5f46b52293eb",
      explanation: "Of a zTOC in the state directory, by its digest",
    },
  ],
  args: [{ name: "ztoc", required: true, description: "Digest of a stored zTOC, or a file" }],
  flags: {
    json: { type: "boolean", description: "Never paged; else the same: the output is always JSON" },
    ...PAGER_FLAG,
    ...STORE_FLAGS,
  },
  async run(context) {
    const { args, io } = context;
    await using cleanup = new AsyncDisposableStack();
    const { ztoc, size } = await readZtoc(args.ztoc, {
      cwd: io.cwd,
      store: async () => cleanup.use(await openArtifactStore(context)),
    });
    if (ztoc.compressionAlgorithm === "uncompressed" && ztoc.zinfo.spanSize < 1) {
      throw new SociError(
        "data-loss",
        `Cannot show zTOC "${args.ztoc}": its span size is ${ztoc.zinfo.spanSize}, want 1 or more`,
      );
    }
    await withPager({ io, flags: context.flags }, async (out) => {
      const show = out.isTty ? safeJson : (text: string) => text;
      let batch = "";
      for (const text of formatZtocInfo(ztoc, size)) {
        batch += text;
        if (batch.length < BATCH_CHARACTERS) continue;
        await out.write(show(batch));
        batch = "";
      }
      await out.write(show(batch));
    });
  },
});
