import { parse, TomlError } from "smol-toml";
import { SociError } from "../errors.ts";
import type { ConfigOf } from "./config-key.ts";
import { CONFIG_KEYS } from "./config-keys.ts";
import { type ConfigFinding, ConfigReader } from "./config-reader.ts";
import type { Personality } from "./personality.ts";

/**
 * The daemon's configuration: every key of the file in camel case (`config.http.maxRetries`,
 * `config.pullModes.sociV1.enable`), all of them there, what one takes from another settled.
 */
export type Config = ConfigOf<typeof CONFIG_KEYS>;

export interface LoadConfigOptions {
  /** The path of the file, for messages. */
  readonly file: string;
  readonly personality: Personality;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Keys that are unknown or have no effect. */
  readonly warnings: readonly ConfigFinding[];
}

export interface CheckedConfig extends LoadedConfig {
  /** What keeps the file from being used; `config` has defaults in these places. */
  readonly problems: readonly ConfigFinding[];
}

const MAX_CHARS = 1024 * 1024;

/** Reads a configuration file. @throws failed-precondition with file, line and key of what is wrong first */
export function loadConfig(text: string, options: LoadConfigOptions): LoadedConfig {
  const { config, warnings, problems } = checkConfig(text, options);
  const problem = firstProblem(options.file, problems);
  if (problem !== undefined) throw problem;
  return { config, warnings };
}

/** The first problem as an error; `undefined` when there is none. */
export function firstProblem(
  file: string,
  problems: readonly ConfigFinding[],
): SociError | undefined {
  const [first, ...others] = problems;
  if (first === undefined) return undefined;
  return new SociError("failed-precondition", `Cannot use ${findingText(file, first)}`, {
    ...(others.length === 0 ? {} : { hint: `${others.length} more: see sociable config check` }),
  });
}

/** As loadConfig(), with everything that is wrong. */
export function checkConfig(text: string, { personality }: LoadConfigOptions): CheckedConfig {
  const reader = new ConfigReader(CONFIG_KEYS, { text, personality });
  const document = parseDocument(text);
  if ("detail" in document) {
    return {
      config: defaultConfig(personality),
      warnings: [],
      problems: [{ key: "", ...document }],
    };
  }
  const config = asConfig(reader.read(document.value));
  checkTogether(config, { reader, personality });
  return { config: settle(config), warnings: reader.warnings, problems: reader.problems };
}

/** What an empty file says. */
export function defaultConfig(personality: Personality): Config {
  return settle(unsettledDefaults(personality));
}

/** The defaults of all keys as a file has them: where one stands for another, it says so still. */
export function unsettledDefaults(personality: Personality): Config {
  return asConfig(new ConfigReader(CONFIG_KEYS, { text: "", personality }).read({}));
}

function asConfig(fields: Readonly<Record<string, unknown>>): Config {
  // The reader makes from a table of keys exactly the fields that ConfigOf promises for it; the
  // compiler cannot follow that.
  return fields as unknown as Config;
}

/** A finding as a line for people. */
export function findingText(file: string, { line, key, detail }: ConfigFinding): string {
  return `"${file}", line ${line}: ${key === "" ? "" : `${key} `}${detail}`;
}

type Parsed = { readonly value: unknown } | { readonly line: number; readonly detail: string };

function parseDocument(text: string): Parsed {
  if (text.length > MAX_CHARS) {
    return { line: 1, detail: `the file has ${text.length} characters, want at most ${MAX_CHARS}` };
  }
  try {
    return { value: parse(text) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // What follows the first line of the message is a piece of the file.
    const [what = ""] = error.message.split("\n");
    return { line: error.line, detail: what.replace(/^Invalid TOML document: /, "") };
  }
}

function checkTogether(
  { pullModes, contentStore }: Config,
  { reader, personality }: { readonly reader: ConfigReader; readonly personality: Personality },
): void {
  const parallel = pullModes.parallelPullUnpack;
  const at = ["pull_modes", "parallel_pull_unpack"];
  if (
    parallel.maxConcurrentDownloads > 0 &&
    parallel.maxConcurrentDownloadsPerImage > parallel.maxConcurrentDownloads
  ) {
    // The Go snapshotter's words.
    reader.refuse(
      [...at, "max_concurrent_downloads_per_image"],
      "is too large: global download limit less than per-image download limit",
    );
  }
  const isParallel = parallel.enable || parallel.experimentalParallelPullAsFallback;
  // Where our blobs lie has nothing to do with it; a file for the Go snapshotter shall hold for both.
  if (
    personality === "soci-snapshotter-grpc" &&
    isParallel &&
    contentStore.type !== "containerd" &&
    !parallel.discardUnpackedLayers
  ) {
    reader.refuse(
      [...at, parallel.enable ? "enable" : "experimental_parallel_pull_as_fallback"],
      'needs content_store.type = "containerd" or discard_unpacked_layers = true',
    );
  }
}

/** Gives what stands for another key its value. */
function settle(config: Config): Config {
  const { http, blob, cache, containerd, contentStore } = config;
  const containerdAddress = withoutScheme(contentStore.containerdAddress);
  const isVerbose = config.logLevel === "trace" || config.logLevel === "debug";
  return {
    ...config,
    logLevel: config.debug && !isVerbose ? "debug" : config.logLevel,
    blob: {
      ...blob,
      maxRetries: blob.maxRetries === 0 ? http.maxRetries : blob.maxRetries,
      minWaitMsec: blob.minWaitMsec === 0 ? http.minWaitMsec : blob.minWaitMsec,
      maxWaitMsec: blob.maxWaitMsec === 0 ? http.maxWaitMsec : blob.maxWaitMsec,
    },
    cache: {
      ...cache,
      readTimeoutSec: cache.readTimeoutSec === 0 ? blob.fetchingTimeoutSec : cache.readTimeoutSec,
    },
    contentStore: { ...contentStore, containerdAddress },
    containerd: {
      address: containerd.address === "" ? containerdAddress : withoutScheme(containerd.address),
    },
  };
}

function withoutScheme(address: string): string {
  return address.startsWith("unix://") ? address.slice("unix://".length) : address;
}
