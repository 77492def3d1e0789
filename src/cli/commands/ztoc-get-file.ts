import { resolve } from "node:path";
import { WasmEngine } from "../../deflate/wasm-engine.ts";
import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import type { FileSlice } from "../../oci/file-slice.ts";
import { directoryFiles, readWhole } from "../../oci/layout-files.ts";
import { type LocalStore, openLocalStore } from "../../soci/local-store.ts";
import { checkSpans } from "../../ztoc/check-spans.ts";
import type { FileMetadata } from "../../ztoc/file-metadata.ts";
import { isSparse } from "../../ztoc/is-sparse.ts";
import { defineCommand } from "../command.ts";
import { readZtoc } from "./ztoc-argument.ts";
import { fileBytes } from "./ztoc-file-bytes.ts";
import { findFile } from "./ztoc-file-lookup.ts";
import { openOutputFile } from "./ztoc-output-file.ts";

export const ztocGetFileCommand = defineCommand({
  name: "ztoc get-file",
  summary: "Print one file of a layer, reading only its spans",
  description:
    "The layer's blob is the one that --layer names, else the one in the state directory. Links are followed inside the layer.",
  examples: [
    {
      command: "sociable ztoc get-file layer.ztoc etc/os-release --layer layer.tar.gz",
      explanation: "Print a file",
    },
    {
      command: "sociable ztoc get-file layer.ztoc usr/bin/jq --layer layer.tar.gz --output jq",
      explanation: "Write it to a file (mode 0644), whole or not at all",
    },
  ],
  args: [
    { name: "ztoc", required: true, description: "Digest of a stored zTOC, or a file" },
    { name: "path", required: true, description: "The file in the layer" },
  ],
  flags: {
    layer: { type: "string", valueName: "FILE", description: "The layer's blob" },
    output: {
      type: "string",
      valueName: "FILE",
      short: "o",
      description: "Write the file here (default: standard output)",
    },
  },
  async run(context) {
    const { args, flags, io, log, signal } = context;
    await using cleanup = new AsyncDisposableStack();
    let opened: Promise<LocalStore> | undefined;
    const store = () => (opened ??= openStore(context.root, { cleanup, signal }));

    const { ztoc, digest } = await readZtoc(args.ztoc, { cwd: io.cwd, store });
    const fault = checkSpans(ztoc);
    if (fault !== undefined) {
      throw new SociError("data-loss", `Cannot use zTOC "${args.ztoc}": ${fault}`);
    }
    const file = findFile(ztoc.files, args.path);
    if (file.type === "dir") {
      throw new SociError(
        "failed-precondition",
        `Cannot print "${args.path}": it is a directory, want a file`,
      );
    }
    if (isSparse(file)) {
      throw new SociError(
        "unsupported",
        `Cannot print "${args.path}": it is a sparse file, whose holes a zTOC does not know`,
      );
    }
    if (file.type !== "reg") {
      log.warn("not a regular file: it has no content", { path: args.path, type: file.type });
    }
    const output =
      flags.output === undefined ? undefined : await openOutputFile(flags.output, io.cwd);
    const bytes = contentOf(file, async () => {
      const blob = cleanup.use(
        flags.layer === undefined
          ? await openStoredLayer(await store(), digest)
          : await openLayer(resolve(io.cwd, flags.layer)),
      );
      if (blob.size !== ztoc.compressedArchiveSize) {
        throw new SociError(
          "failed-precondition",
          `Cannot use ${blob.name}: it has ${blob.size} bytes, the layer of this zTOC has ${ztoc.compressedArchiveSize}`,
        );
      }
      return fileBytes(file, {
        ztoc,
        readRange: (start, end) =>
          readWhole(
            { ...blob, start: blob.start + start, size: end - start },
            { maxBytes: blob.size },
          ),
        engine: new WasmEngine(),
        signal,
      });
    });
    if (output !== undefined) {
      await output.write(bytes, { signal });
      return;
    }
    for await (const chunk of bytes) await io.stdout.write(chunk);
  },
});

/** A file of no bytes needs no layer. */
async function* contentOf(
  { type, uncompressedSize }: FileMetadata,
  read: () => Promise<AsyncIterable<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  if (type === "reg" && uncompressedSize !== 0) yield* await read();
}

async function openStore(
  root: string,
  { cleanup, signal }: { readonly cleanup: AsyncDisposableStack; readonly signal: AbortSignal },
): Promise<LocalStore> {
  return cleanup.use(await openLocalStore({ root, signal }));
}

async function openStoredLayer(
  store: LocalStore,
  ztoc: Digest,
): Promise<FileSlice & AsyncDisposable> {
  for (const { ociDigest } of store.artifacts.listZtocs({ digest: ztoc })) {
    const path = store.content.blobPath(ociDigest);
    const blob = await directoryFiles("").open(path);
    if (blob !== undefined) return blob;
  }
  throw new SociError(
    "not-found",
    `Cannot find the layer of zTOC ${ztoc}: its blob is not in the state directory`,
    { hint: "name the layer's blob with --layer FILE" },
  );
}

async function openLayer(path: string): Promise<FileSlice & AsyncDisposable> {
  const blob = await directoryFiles("").open(path);
  if (blob === undefined) {
    throw new SociError("not-found", `Cannot open "${path}": there is no such file`);
  }
  return blob;
}
