import type { KeyTable } from "./config-key.ts";

/** `[pull_modes]`: how the layers of an image get here. */
export const PULL_MODES_KEYS = {
  soci_v1: {
    kind: "table",
    keys: {
      enable: {
        kind: "boolean",
        default: false,
        sociable: true,
        mark: "honoured",
        why: "Looks for an index among the image's referrers",
      },
    },
  },
  soci_v2: {
    kind: "table",
    keys: {
      enable: {
        kind: "boolean",
        default: true,
        mark: "honoured",
        why: "Looks for an index in the manifest's annotation",
      },
    },
  },
  parallel_pull_unpack: {
    kind: "table",
    keys: {
      enable: {
        kind: "boolean",
        default: false,
        mark: "honoured",
        why: "Fetches layers whole, in ranges side by side, and serves them once verified",
      },
      max_concurrent_downloads: {
        kind: "integer",
        default: -1,
        zeroIsDefault: true,
        mark: "honoured",
        why: "Requests at a time for all images; below 0: any number",
      },
      max_concurrent_downloads_per_image: {
        kind: "integer",
        default: 3,
        zeroIsDefault: true,
        mark: "honoured",
        why: "Requests at a time for one image; below 0: any number",
      },
      concurrent_download_chunk_size: {
        kind: "size",
        default: 0,
        mark: "honoured",
        why: "Bytes of one request; 0: the whole layer",
      },
      max_concurrent_unpacks: {
        kind: "integer",
        default: -1,
        zeroIsDefault: true,
        mark: "ignored",
        why: "as many layers are inflated at a time as there are processors",
      },
      max_concurrent_unpacks_per_image: {
        kind: "integer",
        default: 1,
        zeroIsDefault: true,
        mark: "ignored",
        why: "as many layers are inflated at a time as there are processors",
      },
      discard_unpacked_layers: {
        kind: "boolean",
        default: false,
        mark: "ignored",
        why: "nothing is unpacked: a layer is served from the cache, and its blob is not kept beside it",
      },
      decompress_streams: {
        kind: "named-tables",
        names: ["gzip", "zstd"],
        mark: "ignored",
        why: "layers are inflated here, where checkpoints are made on the way",
        keys: {
          path: { kind: "string", default: "", mark: "ignored", why: "no program is run" },
          args: { kind: "strings", default: [], mark: "ignored", why: "no program is run" },
        },
      },
      experimental_parallel_pull_as_fallback: {
        kind: "boolean",
        default: false,
        mark: "honoured",
        why: "Fetches an image whole where it has no index",
      },
    },
  },
} as const satisfies KeyTable;

/** `[content_store]`. */
export const CONTENT_STORE_KEYS = {
  type: {
    kind: "choice",
    choices: ["soci", "containerd"],
    default: "soci",
    mark: "mapped",
    why: "Manifests are taken from containerd where it has them; what is fetched lies below the root",
  },
  containerd_address: {
    kind: "string",
    default: "/run/containerd/containerd.sock",
    mark: "mapped",
    why: "What containerd.address is where that is not set",
  },
} as const satisfies KeyTable;

/** `[containerd]`. */
export const CONTAINERD_KEYS = {
  address: {
    kind: "string",
    default: "",
    mark: "honoured",
    why: "containerd's socket; empty: content_store.containerd_address",
  },
} as const satisfies KeyTable;

/** `[snapshotter]`. */
export const SNAPSHOTTER_KEYS = {
  min_layer_size: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: "Smaller layers are fetched whole, so that no read of them waits",
  },
  allow_invalid_mounts_on_restart: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "a mount that cannot be restored is tried again when it is used and never stops the start",
  },
} as const satisfies KeyTable;

/** `[health]`. */
export const HEALTH_KEYS = {
  address: {
    kind: "string",
    default: "",
    mark: "honoured",
    why: "HOST:PORT or path of /healthz alone; empty: only beside the metrics",
  },
  network: {
    kind: "choice",
    choices: ["tcp", "unix"],
    default: "tcp",
    mark: "honoured",
    why: "What health.address is",
  },
} as const satisfies KeyTable;
