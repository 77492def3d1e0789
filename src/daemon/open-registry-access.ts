import type { Config } from "../config/config.ts";
import { loginFiles } from "../config/login-files.ts";
import { proxySettings } from "../config/proxy-settings.ts";
import { KubernetesKeychain } from "../kubernetes/kubernetes-keychain.ts";
import type { Logger } from "../observability/log.ts";
import type { Keychain } from "../oci/credentials.ts";
import { dockerKeychain, type LoginFile } from "../oci/docker-keychain.ts";
import { DEFAULT_PARALLEL } from "../oci/parallel-download.ts";
import { proxyRules } from "../oci/proxy-rules.ts";
import { criImageProxy } from "./cri-image-proxy.ts";
import type { GrpcService } from "./grpc-listener.ts";
import { RegistryAccess } from "./registry-access.ts";

export interface OpenRegistryAccessOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Effective user id. */
  readonly uid: number;
  readonly userAgent: string;
  readonly log: Logger;
}

/** The way to registries, with what watches for logins; disposing ends that. */
export interface OpenedRegistryAccess extends AsyncDisposable {
  readonly registries: RegistryAccess;
  /** What has to be served, so that logins come by. */
  readonly services: readonly GrpcService[];
}

/** As the configuration says. @throws failed-precondition */
export async function openRegistryAccess({
  config,
  env,
  uid,
  userAgent,
  log,
}: OpenRegistryAccessOptions): Promise<OpenedRegistryAccess> {
  await using opened = new AsyncDisposableStack();
  const { http, blob, registry, resolver, kubeconfigKeychain, criKeychain } = config;
  const files: readonly LoginFile[] =
    registry.dockerConfig === ""
      ? loginFiles({ uid, env })
      : [{ path: registry.dockerConfig, isRequired: false }];
  const keychains: Keychain[] = [dockerKeychain({ files, env })];
  if (kubeconfigKeychain.enableKeychain) {
    const { kubeconfigPath: path } = kubeconfigKeychain;
    const cluster = opened.use(KubernetesKeychain.start({ path, env, userAgent, log }));
    keychains.push(cluster.keychain);
  }
  const services: GrpcService[] = [];
  if (criKeychain.enableKeychain) {
    const proxy = opened.use(criImageProxy({ address: criKeychain.imageServicePath, log }));
    keychains.push(proxy.keychain);
    services.push(...proxy.services);
  }
  const { concurrentDownloadChunkSize: chunkBytes } = config.pullModes.parallelPullUnpack;
  const registries = new RegistryAccess({
    userAgent,
    keychains,
    hostsDirectory: registry.hostsDir === "" ? undefined : registry.hostsDir,
    mirrors: Array.from(resolver.host, ([host, { mirrors }]) => ({ host, mirrors })),
    http: {
      dialTimeoutMs: http.dialTimeoutMsec,
      responseHeaderTimeoutMs: http.responseHeaderTimeoutMsec,
      requestTimeoutMs: http.requestTimeoutMsec,
      maxRetries: http.maxRetries,
      minWaitMs: http.minWaitMsec,
      maxWaitMs: http.maxWaitMsec,
    },
    blob: {
      maxRetries: blob.maxRetries,
      minWaitMs: blob.minWaitMsec,
      maxWaitMs: blob.maxWaitMsec,
    },
    // A size of chunks is a wish to have several at once, however near the registry is.
    parallel:
      chunkBytes > 0
        ? {
            rangeBytes: chunkBytes,
            minBytes: 2 * chunkBytes,
            minLatencyMs: 0,
            ahead: Math.max(DEFAULT_PARALLEL.ahead, 2 * chunkBytes),
            window: Math.max(DEFAULT_PARALLEL.window, 3 * chunkBytes),
          }
        : undefined,
    proxyFor: proxyRules(proxySettings(env)),
    log,
  });
  const held = opened.move();
  return { registries, services, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
