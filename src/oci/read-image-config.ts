import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { type ImageConfig, parseImageConfig } from "./image-config.ts";
import type { ImageSource } from "./image-source.ts";
import { MAX_JSON_BYTES } from "./json-document.ts";
import type { ImageManifest } from "./manifest.ts";

/** The config of a manifest. @throws data-loss when it is too large, or none; and what the source throws */
export async function readImageConfig(
  source: ImageSource,
  { config }: ImageManifest,
  { signal }: WaitOptions = {},
): Promise<ImageConfig> {
  const what = `config ${config.digest} of "${source.name}"`;
  if (config.size > MAX_JSON_BYTES) {
    throw new SociError(
      "data-loss",
      `Cannot read ${what}: it has ${config.size} bytes, want at most ${MAX_JSON_BYTES}`,
    );
  }
  const chunks: Uint8Array[] = [];
  // Some sources use the memory of a chunk again.
  for await (const chunk of source.blob(config, { signal })) chunks.push(chunk.slice());
  return parseImageConfig(Buffer.concat(chunks), what);
}
