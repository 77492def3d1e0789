import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseDigest } from "../../oci/digest.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { checkSpans } from "../../ztoc/check-spans.ts";
import { usesUnicode } from "../bars.ts";
import { paintOf } from "../colors.ts";
import { defineCommand } from "../command.ts";
import { openStoreIfThere, PLATFORM_FLAG } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { INDEX_FLAG } from "../view-image.ts";
import { findCachedSpans } from "./cached-spans.ts";
import { type LayerMap, mapLayer } from "./layer-map.ts";
import { layerMapPage } from "./layer-map-html.ts";
import { formatMapPicture, formatMapSummary, formatSpanTable } from "./layer-map-text.ts";
import { type NamedZtoc, namesDigest, readZtoc } from "./ztoc-argument.ts";
import { readZtocOfImage } from "./ztoc-of-image.ts";
import { openOutputFile } from "./ztoc-output-file.ts";

const NO_TERMINAL_WIDTH = 100;
const MAX_WIDTH = 10_000;

export const ztocShowCommand = defineCommand({
  name: "ztoc show",
  summary: "Show how the files of a layer lie in its spans",
  description:
    "The spans of a zTOC, what is in them, and which of them the layer cache of this host has. With --map as a picture: the layer's tar from left to right, a line for each directory, and the files that lie in more than one span.",
  examples: [
    { command: "sociable ztoc show layer.ztoc", explanation: "A line for each span" },
    {
      command:
        "sociable ztoc show --map sha256:f09f330e69c2d1dc2db51723e64ba325acee1da83b992e3f43bb5f46b52293eb",
      explanation: "A picture in the terminal, of a zTOC in the state directory",
    },
    {
      command: "sociable ztoc show --map --image registry.example.com/team/app:1.4 c901815c4a12",
      explanation: "Of a layer that sociable inspect shows",
    },
    {
      command: "sociable ztoc show --map --html map.html layer.ztoc",
      explanation: "The picture as a page that needs nothing else",
    },
  ],
  args: [
    {
      name: "ztoc",
      required: true,
      description:
        "Digest of a stored zTOC, or a file; with --image the digest of a zTOC or layer, or how it begins",
    },
  ],
  flags: {
    image: {
      type: "string",
      valueName: "IMAGE",
      description: "Take the zTOC that the SOCI index of this image names",
    },
    map: { type: "boolean", description: "Draw the spans against the directories" },
    html: {
      type: "string",
      valueName: "FILE",
      description: "Write the map as an HTML page here (mode 0644), whole or not at all",
    },
    layer: {
      type: "string",
      valueName: "DIGEST",
      description: "The layer's digest, to find it in the cache whatever zTOC it came by",
    },
    directories: {
      type: "integer",
      min: 1,
      max: 1000,
      default: 24,
      valueName: "N",
      description: "Directories that a map is divided into, at most",
    },
    width: {
      type: "integer",
      min: 40,
      max: MAX_WIDTH,
      valueName: "COLUMNS",
      description: `Columns of a map in the terminal. Default: the terminal's, elsewhere ${NO_TERMINAL_WIDTH}`,
    },
    json: {
      type: "boolean",
      description:
        "Print a JSON object: ztoc, layer, sizes, spans, directories (name, bytes, ranges, …), straddlers",
    },
    ...PAGER_FLAG,
    ...PLATFORM_FLAG,
    ...INDEX_FLAG,
    ...REGISTRY_FLAGS,
  },
  async run(context) {
    const { args, flags, io, signal } = context;
    const named = flags.layer === undefined ? undefined : parseDigest(flags.layer);
    await using cleanup = new AsyncDisposableStack();
    // A zTOC in a file needs no state directory; where there is none nothing is known of its layer.
    const root = namesDigest(args.ztoc) ? context.root : rootIfThere(context);
    const store = root === undefined ? undefined : await openStoreIfThere(root, signal);
    if (store !== undefined) cleanup.use(store);
    const found =
      flags.image === undefined
        ? await readNamedZtoc(args.ztoc, { cwd: io.cwd, store })
        : await readZtocOfImage(args.ztoc, { image: flags.image, context, store });
    const { ztoc, digest, size } = found;
    const fault = checkSpans(ztoc);
    if (fault !== undefined) {
      throw new SociError("data-loss", `Cannot show zTOC "${args.ztoc}": ${fault}`);
    }
    const page = flags.html === undefined ? undefined : await openOutputFile(flags.html, io.cwd);
    const layer = named ?? found.layer;
    const cached =
      root === undefined ? undefined : await findCachedSpans({ root, digest, ztoc, layer, signal });
    const map = mapLayer(ztoc, {
      digest,
      size,
      layer,
      cached,
      maxDirectories: flags.directories,
    });
    if (page !== undefined) {
      await page.write(encoded(layerMapPage(map)), { signal });
      if (!flags.map && !flags.json) return;
    }
    await withPager({ io, flags }, async (out) => {
      if (flags.json) {
        await writeJson(out, jsonOfMap(map));
        return;
      }
      const paint = paintOf(io);
      const columns = out.isTty ? io.stderr.columns : NO_TERMINAL_WIDTH;
      const width = flags.width ?? columns;
      await out.write(`${formatMapSummary(map, paint)}\n`);
      await out.write(
        flags.map
          ? formatMapPicture(map, { paint, width, unicode: usesUnicode(io) })
          : formatSpanTable(map, paint),
      );
    });
  },
});

/** For programs; keys are never taken away. */
function jsonOfMap(map: LayerMap): unknown {
  const { layer, localSpans, spans } = map;
  return {
    ...map,
    layer: layer ?? null,
    localSpans: localSpans ?? null,
    spans: spans.map((span) => ({ ...span, isLocal: span.isLocal ?? null })),
  };
}

/** By its digest or from a file, and its layer, where the store knows it. */
async function readNamedZtoc(
  text: string,
  { cwd, store }: { readonly cwd: string; readonly store: LocalStore | undefined },
): Promise<NamedZtoc & { readonly layer: Digest | undefined }> {
  const found = await readZtoc(text, { cwd, store: async () => store ?? missingStore(text) });
  // The first: layers of the same bytes have one digest.
  const [artifact] = store?.artifacts.listZtocs({ digest: found.digest }) ?? [];
  return { ...found, layer: artifact?.ociDigest };
}

function rootIfThere(context: { readonly root: string }): string | undefined {
  try {
    return context.root;
  } catch (error) {
    if (error instanceof SociError && error.kind === "failed-precondition") return undefined;
    throw error;
  }
}

function missingStore(ztoc: string): never {
  throw new SociError("not-found", `Cannot find zTOC ${ztoc}: there is no local store`, {
    hint: "sociable create makes zTOCs; --root names another state directory",
  });
}

function* encoded(pieces: Iterable<string>): Iterable<Uint8Array> {
  const encoder = new TextEncoder();
  for (const piece of pieces) yield encoder.encode(piece);
}
