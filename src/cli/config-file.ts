import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type CheckedConfig, checkConfig } from "../config/config.ts";
import type { Personality } from "../config/personality.ts";
import { SociError } from "../errors.ts";
import type { CliIo } from "./cli-io.ts";

/** Where the configuration is when nobody says: it need not be there. */
export const DEFAULT_CONFIG_FILES: Readonly<Record<Personality, string>> = {
  sociable: "/etc/sociable/config.toml",
  "soci-snapshotter-grpc": "/etc/soci-snapshotter-grpc/config.toml",
};

export interface ReadConfigFileOptions {
  /** As the user has named it; the usual one when `undefined`. */
  readonly path: string | undefined;
  readonly personality: Personality;
  readonly io: Pick<CliIo, "cwd">;
}

export interface ConfigFile extends CheckedConfig {
  /** Absolute. */
  readonly file: string;
  /** Whether there is such a file: the usual one may be absent, and all is as usual then. */
  readonly isThere: boolean;
}

const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Reads and checks a configuration file.
 * @throws not-found, permission-denied or failed-precondition when the file cannot be read
 */
export async function readConfigFile({
  path,
  personality,
  io,
}: ReadConfigFileOptions): Promise<ConfigFile> {
  const usual = DEFAULT_CONFIG_FILES[personality];
  const file = path === undefined ? usual : resolve(io.cwd, path);
  const text = await readText(file);
  if (text === undefined && file !== usual) {
    throw new SociError("not-found", `Cannot read "${file}": there is no such file`);
  }
  const checked = checkConfig(text ?? "", { file, personality });
  return { ...checked, file, isThere: text !== undefined };
}

/** `undefined` when there is no such file. */
async function readText(file: string): Promise<string | undefined> {
  try {
    // A device or a pipe has no end, or none soon.
    const found = await stat(file);
    if (!found.isFile()) {
      throw new SociError("failed-precondition", `Cannot read "${file}": it is no regular file`);
    }
    if (found.size > MAX_BYTES) {
      throw new SociError(
        "failed-precondition",
        `Cannot read "${file}": it has ${found.size} bytes, want at most ${MAX_BYTES}`,
      );
    }
    return await readFile(file, "utf8");
  } catch (cause) {
    if (cause instanceof SociError) throw cause;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    const kind =
      code === "EACCES" || code === "EPERM" ? "permission-denied" : "failed-precondition";
    throw new SociError(kind, `Cannot read "${file}"`, { cause });
  }
}
