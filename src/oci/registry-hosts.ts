import type { WaitOptions } from "../async/wait-options.ts";
import { readCertsDirectory } from "./certs-directory.ts";
import { ALL_CAPABILITIES, type HostSettings } from "./host-settings.ts";
import type { HostEntry, ServerEntry } from "./hosts-file.ts";
import type { RegistryHost } from "./reference.ts";
import { isLoopback, registryEndpoint } from "./registry-endpoint.ts";
import { loadTls, type TlsFiles } from "./tls-files.ts";

export interface RegistryHostsOptions extends WaitOptions {
  /** Holds a directory for each registry, as containerd's and docker's certs.d do. */
  readonly directory?: string | undefined;
  /** For the registry itself; its authorities are trusted in mirrors, too. */
  readonly tls?: TlsFiles | undefined;
  /** HTTP without TLS with the registry itself, unless hosts.toml names its URL. */
  readonly plainHttp?: boolean | undefined;
}

const NOTHING_SAID: ServerEntry = {
  api: undefined,
  capabilities: ALL_CAPABILITIES,
  tls: {},
  headers: {},
};

/**
 * Who speaks for a registry: mirrors first, the registry itself last.
 * @throws failed-precondition with the file that cannot be used
 */
export async function loadRegistryHosts(
  registry: RegistryHost,
  { directory, tls = {}, plainHttp, signal }: RegistryHostsOptions = {},
): Promise<readonly HostSettings[]> {
  const found =
    directory === undefined ? undefined : await readCertsDirectory(directory, registry, { signal });
  const hosts: HostSettings[] = [];
  for (const { api, ...mirror } of found?.mirrors ?? []) {
    const files = { ...mirror.tls, ca: [...(tls.ca ?? []), ...(mirror.tls.ca ?? [])] };
    hosts.push(await hostSettings(mirror, { api, files, isOrigin: false, signal }));
  }
  const { api, ...server } = found?.server ?? NOTHING_SAID;
  const files: TlsFiles = {
    ca: [...(tls.ca ?? []), ...(server.tls.ca ?? [])],
    client: server.tls.client ?? tls.client,
    skipVerify: server.tls.skipVerify ?? tls.skipVerify,
  };
  const url = api ?? apiOf(registry, files, plainHttp);
  hosts.push(await hostSettings(server, { api: url, files, isOrigin: true, signal }));
  return hosts;
}

function apiOf(registry: RegistryHost, tls: TlsFiles, plainHttp: boolean | undefined): URL {
  const isTls = (tls.ca ?? []).length > 0 || tls.client !== undefined || tls.skipVerify === true;
  // On this machine HTTP is the rule, unless there is talk of TLS.
  const isPlain = plainHttp ?? (isTls && isLoopback(registry) ? false : undefined);
  return new URL("v2/", registryEndpoint(registry, { plainHttp: isPlain }));
}

async function hostSettings(
  { capabilities, headers }: HostEntry,
  {
    api,
    files,
    isOrigin,
    signal,
  }: WaitOptions & {
    readonly api: URL;
    readonly files: TlsFiles;
    readonly isOrigin: boolean;
  },
): Promise<HostSettings> {
  const tls = await loadTls(files, { signal });
  return { api, capabilities, isOrigin, tls, headers };
}
