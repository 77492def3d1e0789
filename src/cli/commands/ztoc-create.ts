import { isKind, SociError } from "../../errors.ts";
import { WasmEngine } from "../../deflate/wasm-engine.ts";
import type { Digest } from "../../oci/digest.ts";
import { TempByteLog } from "../../sys/temp-byte-log.ts";
import { localZtocFactory, type ZtocResult } from "../../ztoc/build-ztoc.ts";
import { DEFAULT_SPAN_SIZE } from "../../ztoc/ztoc.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { algorithmOf, COMPRESSIONS, detectCompression, MAGIC_BYTES } from "./ztoc-compression.ts";
import { fileTarget, storeTarget } from "./ztoc-create-target.ts";
import { openLayerInput } from "./ztoc-layer-input.ts";
import { peek, watch } from "./ztoc-layer-stream.ts";

/** Checkpoints of a small layer need no file; more would only add to the most memory in use. */
const CHECKPOINT_MEMORY_BYTES = 1024 * 1024;

export const ztocCreateCommand = defineCommand({
  name: "ztoc create",
  summary: "Build the zTOC of a layer's blob",
  description:
    "Reads the blob once and writes the bytes that the Go soci tool writes. Without --output the zTOC is stored in the state directory, for ztoc list, info and get-file.",
  examples: [
    {
      command: "sociable ztoc create layer.tar.gz --output layer.ztoc",
      explanation: "Write the zTOC to a file and print its digest",
    },
    {
      command: "sociable ztoc create layer.tar.gz",
      explanation: "Store the zTOC in the state directory and print its digest",
    },
    {
      command: "zcat layer.tar.gz | sociable ztoc create - --span-size 1MiB --json",
      explanation: "Of an uncompressed tar on standard input, with small spans",
    },
  ],
  args: [
    {
      name: "layer-file",
      required: true,
      description: "The layer's blob, a tar with gzip or plain; - is standard input",
    },
  ],
  flags: {
    "span-size": {
      type: "bytes",
      valueName: "SIZE",
      default: DEFAULT_SPAN_SIZE,
      description: "Uncompressed bytes after which the next deflate block starts a new span",
    },
    compression: {
      type: "choice",
      choices: COMPRESSIONS,
      description: "Compression of the layer (default: by its first bytes)",
    },
    output: {
      type: "string",
      valueName: "FILE",
      short: "o",
      description: "Write the zTOC to this file (default: store it in the state directory)",
    },
    json: {
      type: "boolean",
      description:
        "Print a JSON object: digest, size, spans, files, compressedSize, uncompressedSize",
    },
  },
  async run(context) {
    const { args, flags, io, log, progress, signal } = context;
    await using layer = await openLayerInput(args["layer-file"], { ...io, signal });
    await using target =
      flags.output === undefined
        ? await storeTarget(context.root, signal)
        : await fileTarget(flags.output, { cwd: io.cwd, layer });

    const { head, chunks } = await peek(layer.chunks(), MAGIC_BYTES);
    const compression = flags.compression ?? detectCompression(head);
    const algorithm = algorithmOf(compression, layer.name);
    const build = localZtocFactory({
      engine: () => new WasmEngine(),
      checkpoints: () =>
        new TempByteLog({ directory: target.directory, memoryBytes: CHECKPOINT_MEMORY_BYTES }),
    });
    const spanSize = flags["span-size"];
    let built: ZtocResult | undefined;
    try {
      const digest = await build(
        watch(chunks, { layer, progress, digester: target.layerDigester }),
        { algorithm, spanSize, signal },
        async (result) => {
          built = result;
          return await target.write(result, { spanSize, signal });
        },
      );
      if (built === undefined) throw new Error("a zTOC was written, but none was built");
      if (built.unusable !== undefined) {
        log.warn("no reader can use this zTOC", { ztoc: digest, reason: built.unusable });
      }
      if (flags.json) await writeJson(io.stdout, reportOf(digest, built));
      else await io.stdout.write(`${digest}\n`);
    } catch (error) {
      if (built !== undefined || !isKind(error, "data-loss", "unsupported")) throw error;
      throw new SociError(error.kind, `Cannot build a zTOC of ${layer.name}`, {
        cause: error,
        ...(flags.compression === undefined && compression === "uncompressed"
          ? { hint: "it does not begin as gzip does, so it was taken for a plain tar" }
          : {}),
      });
    }
  },
});

function reportOf(digest: Digest, ztoc: ZtocResult) {
  return {
    digest,
    size: ztoc.size,
    spans: ztoc.spanCount,
    files: ztoc.fileCount,
    compressedSize: ztoc.compressedSize,
    uncompressedSize: ztoc.uncompressedSize,
  };
}
