import { stat } from "node:fs/promises";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { ArchiveFiles } from "./archive-files.ts";
import { DockerArchiveSource } from "./docker-archive-source.ts";
import { isErrno } from "./fs-errors.ts";
import { HttpClient, type HttpClientOptions } from "./http.ts";
import type { ImageSource } from "./image-source.ts";
import { directoryFiles } from "./layout-files.ts";
import { LayoutSource } from "./layout-source.ts";
import type { Reference } from "./reference.ts";
import { RegistryClient } from "./registry.ts";
import type { Credentials } from "./credentials.ts";
import { RegistrySource } from "./registry-source.ts";
import { formatSourceName, parseSourceName } from "./source-name.ts";

export interface OpenRegistryOptions {
  /** HTTP without TLS; loopback registries are spoken to so in any case. */
  readonly plainHttp?: boolean | undefined;
  readonly credentials?: Credentials | undefined;
  readonly userAgent?: string | undefined;
  readonly log?: Logger | undefined;
}

export interface OpenImageSourceOptions extends OpenRegistryOptions, WaitOptions {}

/** Opens an image by its name (see parseSourceName). Nothing is asked of a registry yet. @throws invalid-argument, not-found, unsupported */
export async function openImageSource(
  text: string,
  { signal, ...options }: OpenImageSourceOptions = {},
): Promise<ImageSource> {
  const source = parseSourceName(text);
  const name = formatSourceName(source);
  switch (source.transport) {
    case "registry": {
      const { reference } = source;
      return new RegistrySource({ reference, client: openRegistryClient(reference, options) });
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

/** A client of the repository that a reference names. */
export function openRegistryClient(
  { registry, repository }: Reference,
  { plainHttp, credentials, userAgent, log }: OpenRegistryOptions = {},
): RegistryClient {
  const httpOptions: HttpClientOptions = {
    ...(log === undefined ? {} : { log }),
    ...(userAgent === undefined ? {} : { userAgent }),
  };
  return new RegistryClient({
    registry,
    repository,
    credentials,
    // Without the flag it is the host that decides.
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
