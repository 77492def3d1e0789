import { WasmEngine } from "../../deflate/wasm-engine.ts";
import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import type { FileMetadata } from "../../ztoc/file-metadata.ts";
import { isSparse } from "../../ztoc/is-sparse.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";
import { fileBytes } from "../commands/ztoc-file-bytes.ts";
import { findFile } from "../commands/ztoc-file-lookup.ts";
import { openOutputFile } from "../commands/ztoc-output-file.ts";
import { parseGoDigest } from "./go-digest.ts";
import { readSociZtoc } from "./read-soci-ztoc.ts";
import type { SociCommand } from "./soci-command.ts";
import type { SociContext } from "./soci-context.ts";
import type { SociStore } from "./soci-store.ts";

export const sociGetFile: SociCommand = {
  name: "get-file",
  usage: "retrieve a file from a local image layer using a specified ztoc",
  arguments: "[flags] <digest> <file>",
  flags: [
    { names: ["output", "o"], type: "text", usage: "the file to write the extracted content to" },
  ],
  async run(context, { flags, words }) {
    const [text = "", name = ""] = words;
    if (words.length !== 2) {
      throw new SociError(
        "invalid-argument",
        "please provide both a ztoc digest and a filename to extract",
      );
    }
    const { io, signal } = context;
    const digest = parseGoDigest(text);
    const store = await context.openStore();
    const { ztoc } = await readSociZtoc(store, digest);
    const file = fileOf(ztoc, name);
    const path = flags.text("output");
    const output = path === "" ? undefined : await openOutputFile(path, io.cwd);
    const bytes = contentOf(file, { ztoc, digest, store, context });
    if (output !== undefined) {
      await output.write(bytes, { signal });
      return;
    }
    for await (const chunk of bytes) await io.stdout.write(chunk);
    // The Go tool ends what it prints, whatever it is, with a line end.
    await io.stdout.write("\n");
  },
};

/** A name as it stands in the layer; links lead to what they lead to there. */
function fileOf({ files }: Ztoc, name: string): FileMetadata {
  const wanted = Buffer.from(name);
  if (!files.some((file) => wanted.equals(file.name))) {
    throw new SociError("not-found", `file ${name} does not exist in metadata`);
  }
  const file = findFile(files, name);
  if (file.type === "dir") {
    throw new SociError("failed-precondition", `file ${name} is a directory`);
  }
  if (isSparse(file)) {
    throw new SociError(
      "unsupported",
      `file ${name} is a sparse file, whose holes a ztoc does not know`,
    );
  }
  return file;
}

async function* contentOf(
  file: FileMetadata,
  {
    ztoc,
    digest,
    store,
    context: { space, signal },
  }: {
    readonly ztoc: Ztoc;
    readonly digest: Digest;
    readonly store: SociStore;
    readonly context: SociContext;
  },
): AsyncGenerator<Uint8Array> {
  if (file.type !== "reg" || file.uncompressedSize === 0) return;
  const size = ztoc.compressedArchiveSize;
  const layers = store.artifacts.listZtocs({ digest }).map(({ ociDigest }) => ociDigest);
  for (const layer of layers) {
    if ((await space.content.info(layer, { signal }))?.size !== size) continue;
    const readRange = async (start: number, end: number): Promise<Uint8Array> => {
      const chunks = space.content.read({ digest: layer, size }, { start, end, signal });
      return Buffer.concat(await Array.fromAsync(chunks));
    };
    yield* fileBytes(file, { ztoc, readRange, engine: new WasmEngine(), signal });
    return;
  }
  throw new SociError("not-found", `content digest ${layers[0] ?? "of the layer"}: not found`, {
    hint: "containerd has not the layer of this ztoc: pull the image in full",
  });
}
