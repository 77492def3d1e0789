import type { KeyTable } from "./config-key.ts";
import { DAEMON_KEYS } from "./daemon-keys.ts";
import {
  BLOB_KEYS,
  CRI_KEYS,
  HTTP_KEYS,
  KUBECONFIG_KEYS,
  REGISTRY_KEYS,
  RESOLVER_KEYS,
} from "./http-keys.ts";
import {
  BACKGROUND_FETCH_KEYS,
  CACHE_KEYS,
  DIRECTORY_CACHE_KEYS,
  FUSE_KEYS,
  PREFETCH_KEYS,
} from "./lazy-keys.ts";
import {
  CONTAINERD_KEYS,
  CONTENT_STORE_KEYS,
  HEALTH_KEYS,
  PULL_MODES_KEYS,
  SNAPSHOTTER_KEYS,
} from "./pull-keys.ts";

/** Every key that a configuration file may have. */
export const CONFIG_KEYS = {
  ...DAEMON_KEYS,
  http: { kind: "table", keys: HTTP_KEYS },
  blob: { kind: "table", keys: BLOB_KEYS },
  directory_cache: { kind: "table", keys: DIRECTORY_CACHE_KEYS },
  cache: { kind: "table", keys: CACHE_KEYS },
  fuse: { kind: "table", keys: FUSE_KEYS },
  background_fetch: { kind: "table", keys: BACKGROUND_FETCH_KEYS },
  content_store: { kind: "table", keys: CONTENT_STORE_KEYS },
  prefetch: { kind: "table", keys: PREFETCH_KEYS },
  pull_modes: { kind: "table", keys: PULL_MODES_KEYS },
  registry: { kind: "table", keys: REGISTRY_KEYS },
  resolver: { kind: "table", keys: RESOLVER_KEYS },
  kubeconfig_keychain: { kind: "table", keys: KUBECONFIG_KEYS },
  cri_keychain: { kind: "table", keys: CRI_KEYS },
  containerd: { kind: "table", keys: CONTAINERD_KEYS },
  snapshotter: { kind: "table", keys: SNAPSHOTTER_KEYS },
  health: { kind: "table", keys: HEALTH_KEYS },
} as const satisfies KeyTable;
