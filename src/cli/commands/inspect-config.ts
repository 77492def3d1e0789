import { SociError } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import type { ImageSource, SignalOptions } from "../../oci/image-source.ts";
import { JsonObject, MAX_JSON_BYTES, parseJson } from "../../oci/json-document.ts";
import type { ImageManifest } from "../../oci/manifest.ts";
import { normalizePlatform } from "../../oci/platform.ts";

/** What an image's config says of the containers made of it. Empty text or lists: nothing. */
export interface RunConfig {
  readonly created: string;
  readonly author: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** Names alone: values may be secrets. */
  readonly envNames: readonly string[];
  readonly user: string;
  readonly workingDirectory: string;
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Far more than a config can need; its bytes are limited anyway. */
const MAX_ITEMS = 65_536;

/** A config, and the platform that it states, in containerd's normal form. */
export interface ReadConfig {
  readonly config: RunConfig;
  readonly platform: Platform;
}

/** Reads the config of a manifest. @throws data-loss when it is too large, or none; and what the source throws */
export async function readRunConfig(
  source: ImageSource,
  { config }: ImageManifest,
  { signal }: SignalOptions = {},
): Promise<ReadConfig> {
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
  const bytes = Buffer.concat(chunks);
  const { platform } = parseImageConfig(bytes, what);
  return { config: parseRunConfig(bytes, what), platform: normalizePlatform(platform) };
}

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md @throws data-loss */
export function parseRunConfig(bytes: Uint8Array, what = "image config"): RunConfig {
  const document = parseJson(bytes, what);
  const json = new JsonObject(document, what);
  const config = json.optionalObject("config");
  const raw = isRecord(document) ? document["config"] : undefined;
  const list = (key: string): readonly string[] => config?.optionalStrings(key, MAX_ITEMS) ?? [];
  const text = (key: string): string => config?.optionalString(key) ?? "";
  return {
    created: json.optionalString("created") ?? "",
    author: json.optionalString("author") ?? "",
    entrypoint: list("Entrypoint"),
    command: list("Cmd"),
    envNames: list("Env").map((line) => line.split("=", 1).join("")),
    user: text("User"),
    workingDirectory: text("WorkingDir"),
    exposedPorts: keysOf(config, raw, "ExposedPorts"),
    volumes: keysOf(config, raw, "Volumes"),
    stopSignal: text("StopSignal"),
    labels: config?.optionalStringMap("Labels") ?? {},
  };
}

/** The keys of an object whose values say nothing, as Go writes a set. */
function keysOf(config: JsonObject | undefined, raw: unknown, key: string): readonly string[] {
  // Which checks that it is an object.
  if (config?.optionalObject(key) === undefined || !isRecord(raw)) return [];
  return Object.keys(raw[key] ?? {}).sort();
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
