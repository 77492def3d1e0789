import { stat } from "node:fs/promises";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { ArchiveFiles } from "./archive-files.ts";
import type { Credentials, Keychain } from "./credentials.ts";
import { DockerArchiveSource } from "./docker-archive-source.ts";
import { isErrno } from "./fs-errors.ts";
import type { HostSettings } from "./host-settings.ts";
import { HttpClient, type HttpClientOptions } from "./http.ts";
import type { ImageSource } from "./image-source.ts";
import { directoryFiles } from "./layout-files.ts";
import { LayoutSource } from "./layout-source.ts";
import type { Reference } from "./reference.ts";
import { RegistryClient } from "./registry.ts";
import { loadRegistryHosts } from "./registry-hosts.ts";
import { RegistrySource } from "./registry-source.ts";
import { formatSourceName, parseSourceName } from "./source-name.ts";
import type { TlsFiles } from "./tls-files.ts";

export interface OpenRegistryClientOptions {
  /** HTTP without TLS; loopback registries are spoken to so in any case but with TLS settings. */
  readonly plainHttp?: boolean | undefined;
  /** For the registry itself, never for a mirror of it. */
  readonly credentials?: Credentials | undefined;
  /** Where credentials are looked up when none are given. */
  readonly keychain?: Keychain | undefined;
  /** Who speaks for the registry; only itself when not given. */
  readonly hosts?: readonly HostSettings[] | undefined;
  /** The proxy for a URL, if any; none when not given. */
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
  readonly userAgent?: string | undefined;
  readonly log?: Logger | undefined;
}

export interface OpenRegistryOptions extends Omit<OpenRegistryClientOptions, "hosts">, WaitOptions {
  /** Where mirrors and certificates of registries are set: a certs.d directory. */
  readonly hostsDirectory?: string | undefined;
  readonly tls?: TlsFiles | undefined;
}

/** Opens an image by its name (see parseSourceName). Nothing is asked of a registry yet. @throws invalid-argument, not-found, unsupported */
export async function openImageSource(
  text: string,
  { signal, ...options }: OpenRegistryOptions = {},
): Promise<ImageSource> {
  const source = parseSourceName(text);
  const name = formatSourceName(source);
  switch (source.transport) {
    case "registry": {
      const { reference } = source;
      const client = await openRegistry(reference, { ...options, signal });
      return new RegistrySource({ reference, client });
    }
    case "oci":
      await checkDirectory(source.path);
      return new LayoutSource({ name, files: directoryFiles(source.path), tag: source.tag });
    case "oci-archive": {
      const files = await ArchiveFiles.open(source.path, { signal });
      return new LayoutSource({ name, files, tag: source.tag });
    }
    case "docker-archive": {
      const files = await ArchiveFiles.open(source.path, { signal });
      return new DockerArchiveSource({ name, files, tag: source.tag });
    }
  }
}

/** A client of the repository that a reference names, with the settings there are for its registry. @throws failed-precondition */
export async function openRegistry(
  reference: Reference,
  { hostsDirectory, tls, plainHttp, signal, ...options }: OpenRegistryOptions = {},
): Promise<RegistryClient> {
  const hosts = await loadRegistryHosts(reference.registry, {
    directory: hostsDirectory,
    tls,
    // Without the flag it is the host that decides.
    plainHttp: plainHttp === true ? true : undefined,
    signal,
  });
  return openRegistryClient(reference, { ...options, hosts });
}

/** A client of the repository that a reference names. */
export function openRegistryClient(
  { registry, repository }: Reference,
  { plainHttp, userAgent, proxyFor, log, ...options }: OpenRegistryClientOptions = {},
): RegistryClient {
  const httpOptions: HttpClientOptions = {
    ...(log === undefined ? {} : { log }),
    ...(userAgent === undefined ? {} : { userAgent }),
    proxyFor,
  };
  return new RegistryClient({
    ...options,
    registry,
    repository,
    plainHttp: plainHttp === true ? true : undefined,
    http: new HttpClient(httpOptions),
    log,
  });
}

async function checkDirectory(path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) {
      return;
    }
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      throw new SociError(
        "not-found",
        `Cannot open OCI layout "${path}": there is no such directory`,
        { cause },
      );
    }
    throw new SociError("failed-precondition", `Cannot open OCI layout "${path}"`, { cause });
  }
  throw new SociError("invalid-argument", `Cannot open OCI layout "${path}": it is no directory`, {
    hint: `If it is an archive, name it oci-archive:${path}`,
  });
}
