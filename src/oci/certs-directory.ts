import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { isErrno } from "./fs-errors.ts";
import { ALL_CAPABILITIES } from "./host-settings.ts";
import { type HostsFile, parseHostsFile } from "./hosts-file.ts";
import type { RegistryHost } from "./reference.ts";

/**
 * What a certs.d directory says about a registry: a hosts.toml, else certificates as docker lays
 * them out; `undefined` when it says nothing. @throws failed-precondition
 */
export async function readCertsDirectory(
  root: string,
  registry: RegistryHost,
  { signal }: WaitOptions = {},
): Promise<HostsFile | undefined> {
  const directory = await findDirectory(root, registry);
  if (directory === undefined) {
    return undefined;
  }
  const path = join(directory, "hosts.toml");
  const bytes = await readIfThere(path, { signal });
  return bytes === undefined || bytes.length === 0
    ? await readCertificateNames(directory)
    : parseHostsFile(bytes, { path, directory });
}

// In containerd's order: "host_5000_" for file systems that take no colon, "host:5000", "_default".
async function findDirectory(root: string, registry: RegistryHost): Promise<string | undefined> {
  const spelled = registry.replace(/:(\d+)$/, "_$1_");
  for (const name of [...new Set([spelled, registry]), "_default"]) {
    const path = join(root, name);
    if (await isThere(path)) {
      return path;
    }
  }
  return undefined;
}

/** `*.crt` are authorities; `*.cert` is ours, with its key in `*.key` or in itself. */
async function readCertificateNames(directory: string): Promise<HostsFile> {
  const names = (await listNames(directory)).toSorted();
  const cert = names.find((name) => name.endsWith(".cert"));
  const key = cert === undefined ? undefined : `${cert.slice(0, -".cert".length)}.key`;
  const client =
    cert === undefined
      ? undefined
      : {
          cert: join(directory, cert),
          ...(key !== undefined && names.includes(key) ? { key: join(directory, key) } : {}),
        };
  const ca = names.filter((name) => name.endsWith(".crt")).map((name) => join(directory, name));
  const server = {
    api: undefined,
    capabilities: ALL_CAPABILITIES,
    tls: { ca, client },
    headers: {},
  };
  return { mirrors: [], server };
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      return false;
    }
    throw unreadable(path, cause);
  }
}

async function listNames(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function readIfThere(path: string, { signal }: WaitOptions): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    if (isErrno(cause, "ENOENT")) {
      return undefined;
    }
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): SociError {
  return new SociError("failed-precondition", `Cannot read "${path}"`, { cause });
}
