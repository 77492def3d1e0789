import { readFile } from "node:fs/promises";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { askCredentialHelper } from "./credential-helper.ts";
import type { Credentials, Keychain } from "./credentials.ts";
import { type DockerConfig, parseDockerConfig } from "./docker-config.ts";
import { findLogin, loginPath } from "./find-login.ts";
import { isErrno } from "./fs-errors.ts";

/** A file of logins: docker's config.json, or the auth.json of podman and skopeo. */
export interface LoginFile {
  readonly path: string;
  /** Whether it is an error that it is not there: somebody named it. */
  readonly isRequired?: boolean;
}

export interface DockerKeychainOptions {
  /** The first one that knows a host decides. */
  readonly files: readonly LoginFile[];
  /** Of credential helpers. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly helperTimeoutMs?: number;
}

const DOCKER_HUB = "docker.io";
// The name of Docker Hub's first API, under which docker files its logins to this day.
const DOCKER_HUB_KEY = "https://index.docker.io/v1/";

/**
 * The logins that `docker login`, `podman login` and `skopeo login` leave behind. Files are read and
 * helpers asked at each lookup, so that a login made meanwhile counts.
 * @throws failed-precondition for a broken file, unauthenticated for a broken helper
 */
export function dockerKeychain({ files, env, helperTimeoutMs }: DockerKeychainOptions): Keychain {
  const helperOptions = {
    env,
    ...(helperTimeoutMs === undefined ? {} : { timeoutMs: helperTimeoutMs }),
  };
  return async (host, { repository, signal }) => {
    for (const file of files) {
      const config = await readConfig(file, { signal });
      const found =
        config === undefined
          ? undefined
          : ((await fromHelper(config, host, { ...helperOptions, signal })) ??
            findLogin(config.auths, host, repository));
      if (found !== undefined) {
        return found;
      }
    }
    return undefined;
  };
}

async function readConfig(
  { path, isRequired = false }: LoginFile,
  { signal }: WaitOptions,
): Promise<DockerConfig | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    if (!isRequired && isErrno(cause, "ENOENT", "ENOTDIR")) {
      return undefined;
    }
    throw new SociError("failed-precondition", `Cannot read logins from "${path}"`, { cause });
  }
  return bytes.length === 0 ? undefined : parseDockerConfig(bytes, path);
}

async function fromHelper(
  { credHelpers, credsStore }: DockerConfig,
  host: string,
  options: Parameters<typeof askCredentialHelper>[2],
): Promise<Credentials | undefined> {
  const own = [...credHelpers].find(([key]) => loginPath(key) === host)?.[1];
  const name = own ?? credsStore;
  const serverUrl = host === DOCKER_HUB ? DOCKER_HUB_KEY : host;
  return name === undefined ? undefined : await askCredentialHelper(name, serverUrl, options);
}
