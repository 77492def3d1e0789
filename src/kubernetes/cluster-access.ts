import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";
import type { TlsSettings } from "../oci/tls-settings.ts";
import {
  type ClusterConfig,
  type KubeconfigFile,
  type Material,
  parseKubeconfig,
} from "./kubeconfig.ts";

export interface ClusterAccessOptions extends WaitOptions {
  /** The kubeconfig; when not given $KUBECONFIG, then ~/.kube/config, then the pod's own account. */
  readonly path?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where the account of a pod is. */
  readonly serviceAccountDirectory?: string;
}

/** How to speak to a cluster now: tokens and certificates may be others later. */
export interface ClusterAccess {
  /** With a slash at the end. */
  readonly server: URL;
  readonly tls: TlsSettings | undefined;
  readonly proxy: URL | undefined;
  /** The value of the header. */
  readonly authorization: string | undefined;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const MAX_BYTES = 4 * 1024 * 1024;
const TOKEN = /^[\x21-\x7e]+$/;
const CERTIFICATE = "-----BEGIN CERTIFICATE-----";

/**
 * Reads how to speak to the cluster; `undefined` as long as there is nothing to read.
 * @throws failed-precondition, unsupported
 */
export async function findClusterAccess(
  options: ClusterAccessOptions,
): Promise<ClusterAccess | undefined> {
  const { path, env } = options;
  const named = path === undefined || path === "" ? listed(env["KUBECONFIG"]) : [path];
  const home = env["HOME"];
  const usual = home === undefined || home === "" ? [] : [join(home, ".kube/config")];
  const files = await readAll(named.length > 0 ? named : usual, options);
  if (files.length > 0) {
    return await access(parseKubeconfig(files), options);
  }
  const config = named.length > 0 ? undefined : inCluster(options);
  return config === undefined ? undefined : await access(config, options);
}

function listed(text: string | undefined): readonly string[] {
  return (text ?? "").split(":").filter((path) => path !== "");
}

async function readAll(
  paths: readonly string[],
  options: WaitOptions,
): Promise<readonly KubeconfigFile[]> {
  const files: KubeconfigFile[] = [];
  for (const path of paths) {
    const bytes = await readIfThere(path, options);
    // An empty one is about to be written.
    if (bytes !== undefined && bytes.length > 0) {
      files.push({ path, bytes });
    }
  }
  return files;
}

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
function inCluster({
  env,
  serviceAccountDirectory = SERVICE_ACCOUNT,
}: ClusterAccessOptions): ClusterConfig | undefined {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const server = URL.parse(`https://${host.includes(":") ? `[${host}]` : host}:${port}/`);
  if (host === "" || server === null) {
    return undefined;
  }
  return {
    server,
    ca: { path: join(serviceAccountDirectory, "ca.crt") },
    token: { path: join(serviceAccountDirectory, "token") },
    client: undefined,
    skipVerify: false,
    proxy: undefined,
    basic: undefined,
  };
}

async function access(config: ClusterConfig, options: WaitOptions): Promise<ClusterAccess> {
  const { server, proxy, basic } = config;
  const token = config.token === undefined ? undefined : await tokenOf(config.token, options);
  const pair = basic === undefined ? undefined : `${basic.username}:${basic.password}`;
  const authorization =
    token !== undefined
      ? `Bearer ${token}`
      : pair === undefined
        ? undefined
        : `Basic ${Buffer.from(pair).toString("base64")}`;
  if (authorization !== undefined && server.protocol === "http:" && !isHere(server)) {
    throw new SociError(
      "failed-precondition",
      `Cannot log in to the cluster at "${server.host}": it is not spoken to over TLS`,
    );
  }
  return { server, proxy, authorization, tls: await tlsOf(config, options) };
}

/** Whether nobody is on the way. */
function isHere({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d+){3}$/.test(hostname);
}

async function tokenOf(material: Material, options: WaitOptions): Promise<string> {
  const token = (await textOf(material, options)).trim();
  if (!TOKEN.test(token)) {
    throw new SociError(
      "failed-precondition",
      `Cannot use the token ${placeOf(material)}: it is empty or no plain text`,
    );
  }
  return token;
}

async function tlsOf(
  { ca, client, skipVerify }: ClusterConfig,
  options: WaitOptions,
): Promise<TlsSettings | undefined> {
  if (ca === undefined && client === undefined && !skipVerify) {
    return undefined;
  }
  return {
    ...(ca === undefined ? {} : { ca: [await certificateOf(ca, options)] }),
    ...(client === undefined
      ? {}
      : {
          client: {
            cert: await certificateOf(client.cert, options),
            key: await textOf(client.key, options),
          },
        }),
    ...(skipVerify ? { skipVerify } : {}),
  };
}

async function certificateOf(material: Material, options: WaitOptions): Promise<string> {
  const text = await textOf(material, options);
  if (!text.includes(CERTIFICATE)) {
    throw new SociError(
      "failed-precondition",
      `Cannot use the certificate ${placeOf(material)}: it is none in PEM`,
    );
  }
  return text;
}

async function textOf(material: Material, options: WaitOptions): Promise<string> {
  if ("text" in material) {
    return material.text;
  }
  const bytes = await readIfThere(material.path, options);
  if (bytes === undefined) {
    throw new SociError("failed-precondition", `Cannot read "${material.path}": it is not there`);
  }
  return new TextDecoder().decode(bytes);
}

function placeOf(material: Material): string {
  return "path" in material ? `in "${material.path}"` : "of the kubeconfig";
}

async function readIfThere(path: string, { signal }: WaitOptions): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      return undefined;
    }
    throw new SociError("failed-precondition", `Cannot read "${path}"`, { cause });
  }
  if (bytes.length > MAX_BYTES) {
    throw new SociError(
      "failed-precondition",
      `Cannot use "${path}": it has ${bytes.length} bytes, want at most ${MAX_BYTES}`,
    );
  }
  return bytes;
}
