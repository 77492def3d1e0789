import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { isKind, SociError } from "../errors.ts";
import { WasmEngine } from "../deflate/wasm-engine.ts";
import type { OpenedImage } from "../image/open-image.ts";
import { openImage } from "../image/open-image.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { readSmallFile } from "../oci/layout-files.ts";
import { isDigest } from "../oci/digest.ts";
import { parsePlatform } from "../oci/platform.ts";
import type { ExplicitIndex } from "../soci/discover.ts";
import type { CommandContext } from "./command-context.ts";
import { CONTAINERD_FLAGS, type ContainerdFlagValues } from "./containerd-flags.ts";
import type { FlagSpecs } from "./flag-spec.ts";
import { formatByteSize } from "./byte-size.ts";
import { openSource, openStoreIfThere, PLATFORM_FLAG } from "./image-flags.ts";
import { openZtocFactory } from "./open-ztoc-factory.ts";
import { REGISTRY_FLAGS, type RegistryFlagValues } from "./registry-options.ts";

/** Of commands that need an image's SOCI index. */
export const INDEX_FLAG = {
  index: {
    type: "string",
    valueName: "DIGEST|FILE",
    description:
      "SOCI index to use. Default: the one the manifest names, a referrer of it, or a local one",
  },
} as const satisfies FlagSpecs;

/** Of commands that look into an image. */
export const VIEW_FLAGS = {
  ...PLATFORM_FLAG,
  ...INDEX_FLAG,
  stats: {
    type: "boolean",
    description:
      "Print requests, bytes fetched and bytes of the image on standard error at the end",
  },
  ...CONTAINERD_FLAGS,
  ...REGISTRY_FLAGS,
} as const satisfies FlagSpecs;

type ViewContext = CommandContext<
  { readonly image: string },
  RegistryFlagValues &
    ContainerdFlagValues & {
      readonly platform: string | undefined;
      readonly index: string | undefined;
      readonly stats: boolean;
    }
>;

/** Opens the image that a command names and hands it to `use`; then prints what --stats asks for. */
export async function viewImage(
  context: ViewContext,
  use: (opened: OpenedImage, source: ImageSource) => Promise<void>,
): Promise<void> {
  const { args, flags, io, log, root, signal, progress, services } = context;
  await using source = await openSource(args.image, { flags, io, log, signal });
  await using resources = new AsyncDisposableStack();
  const store = await openStoreIfThere(root, signal);
  if (store !== undefined) resources.use(store);
  using factory = openZtocFactory(services, tmpdir());
  const item = progress.item(args.image);
  const opened = await openImage({
    source,
    platform: flags.platform === undefined ? undefined : parsePlatform(flags.platform),
    index: flags.index === undefined ? undefined : await explicitIndex(flags.index, io.cwd),
    store,
    buildZtoc: factory.build,
    engine: () => new WasmEngine(),
    log,
    signal,
    onStreamed: (layers, isIndexed) => {
      const bytes = layers.reduce((sum, { size }) => sum + size, 0);
      item.setTotal(bytes);
      if (isIndexed) {
        log.info("reading layers without a zTOC whole", { layers: layers.length, bytes });
        return;
      }
      io.stderr.write(
        `No SOCI index of this image was found: reading its ${layers.length} layers (${formatByteSize(bytes)}) whole. To read only what is needed, run: sociable create ${args.image}\n`,
      );
    },
    onBytes: (count) => item.add(count),
  });
  item.end();
  await use(opened, source);
  if (flags.stats) io.stderr.write(statsOf(opened, source));
}

/** The index that --index names. @throws not-found, data-loss, failed-precondition */
export async function explicitIndex(text: string, cwd: string): Promise<ExplicitIndex> {
  if (isDigest(text)) return { digest: text };
  const what = `Cannot read SOCI index ${JSON.stringify(text)}`;
  try {
    const bytes = await readSmallFile(resolve(cwd, text));
    if (bytes !== undefined) return { bytes, name: text };
  } catch (cause) {
    throw new SociError(isKind(cause, "data-loss") ? cause.kind : "failed-precondition", what, {
      cause,
    });
  }
  throw new SociError("not-found", `${what}: there is no such file, and it is no digest`);
}

function statsOf({ image }: OpenedImage, { stats }: ImageSource): string {
  const bytes = image.manifest.layers.reduce((sum, { size }) => sum + size, 0);
  const share = bytes === 0 ? 0 : (stats.bytes / bytes) * 100;
  return `requests: ${stats.requests}\nbytes fetched: ${stats.bytes}\nbytes of the image: ${bytes} (fetched ${share.toFixed(1)} %)\n`;
}
