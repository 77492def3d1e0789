import { SociError } from "../../errors.ts";
import { decodeLayerZtoc, readZtoc } from "../../image/open-layer.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { hostPlatform, parsePlatform } from "../../oci/platform.ts";
import { resolveImage } from "../../oci/resolve-image.ts";
import { discoverSociIndex } from "../../soci/discover.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { ztocReferences } from "../../soci/soci-index.ts";
import type { CommandContext } from "../command-context.ts";
import { openSource } from "../image-flags.ts";
import type { RegistryFlagValues } from "../registry-options.ts";
import { explicitIndex } from "../view-image.ts";
import type { NamedZtoc } from "./ztoc-argument.ts";

/** What is needed of a command to ask for an image. */
export type ImageContext = Pick<
  CommandContext<
    unknown,
    RegistryFlagValues & {
      readonly platform: string | undefined;
      readonly index: string | undefined;
    }
  >,
  "flags" | "io" | "log" | "signal"
>;

export interface ZtocOfImageOptions {
  readonly image: string;
  readonly context: ImageContext;
  readonly store: LocalStore | undefined;
}

/** Fewer hex digits are a slip rather than a choice. */
const MIN_PREFIX = 4;

/**
 * Reads a zTOC that the SOCI index of an image names. `text` is the digest of the zTOC or of its layer, or
 * how one begins. @throws not-found; invalid-argument when it may be several; and what reading it throws
 */
export async function readZtocOfImage(
  text: string,
  { image: name, context, store }: ZtocOfImageOptions,
): Promise<NamedZtoc & { readonly layer: Digest }> {
  const prefix = prefixOf(text);
  const { flags, io, log, signal } = context;
  await using source = await openSource(name, { flags, io, log, signal });
  const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  const { descriptor, manifest } = await resolveImage(source, { platform, signal });
  const { found } = await discoverSociIndex({
    source,
    imageManifest: descriptor,
    annotations: manifest.annotations,
    explicit: flags.index === undefined ? undefined : await explicitIndex(flags.index, io.cwd),
    store,
    signal,
  });
  if (found === undefined) {
    throw new SociError("not-found", `Cannot find a zTOC of "${name}": it has no SOCI index`, {
      hint: `sociable create ${name} makes one`,
    });
  }
  const layers = new Map(manifest.layers.map((layer) => [layer.digest, layer]));
  const candidates = new Map<Digest, { readonly layer: Descriptor; readonly ztoc: Descriptor }>();
  for (const { layer: digest, descriptor: ztoc } of ztocReferences(found.index)) {
    const layer = layers.get(digest);
    const isNamed = digest.startsWith(prefix) || ztoc.digest.startsWith(prefix);
    if (layer !== undefined && isNamed) candidates.set(ztoc.digest, { layer, ztoc });
  }
  const [chosen, ...others] = candidates.values();
  if (chosen === undefined) {
    throw new SociError(
      "not-found",
      `Cannot find zTOC or layer "${text}": the SOCI index of "${name}" names none`,
      { hint: `sociable inspect ${name} shows its layers` },
    );
  }
  if (others.length > 0) {
    throw new SociError(
      "invalid-argument",
      `Cannot tell which zTOC of "${name}" is meant: ${candidates.size} digests start with "${prefix}"`,
    );
  }
  const { layer, ztoc } = chosen;
  const bytes = await readZtoc(layer, ztoc, { source, store, log, signal });
  return {
    ztoc: decodeLayerZtoc(layer, bytes),
    digest: ztoc.digest,
    size: bytes.length,
    layer: layer.digest,
  };
}

function prefixOf(text: string): string {
  const hex = text.startsWith("sha256:") ? text.slice("sha256:".length) : text;
  if (hex.length < MIN_PREFIX || !/^[0-9a-f]{1,64}$/.test(hex)) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse digest "${text}": want sha256:<hex digits>, at least ${MIN_PREFIX} of them`,
    );
  }
  return `sha256:${hex}`;
}
