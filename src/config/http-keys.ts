import type { KeyTable } from "./config-key.ts";

/** `[http]`: requests to registries. */
export const HTTP_KEYS = {
  DialTimeoutMsec: {
    kind: "integer",
    default: 3000,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Time for a connection",
  },
  ResponseHeaderTimeoutMsec: {
    kind: "integer",
    default: 3000,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Time from a request to the head of its answer",
  },
  RequestTimeoutMsec: {
    kind: "integer",
    default: 300_000,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Time for one attempt with its body",
  },
  MaxRetries: {
    kind: "integer",
    default: 8,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Further attempts of a request that failed",
  },
  MinWaitMsec: {
    kind: "integer",
    default: 30,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Shortest wait before a further attempt",
  },
  MaxWaitMsec: {
    kind: "integer",
    default: 300_000,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "Longest wait before a further attempt",
  },
} as const satisfies KeyTable;

const OF_HTTP = "0: as in [http]";

/** `[blob]`: requests for ranges of layers. */
export const BLOB_KEYS = {
  valid_interval: {
    kind: "integer",
    default: 60,
    zeroIsDefault: true,
    mark: "ignored",
    why: "a registry that does not answer is seen by the reads themselves",
  },
  check_always: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "a registry that does not answer is seen by the reads themselves",
  },
  fetching_timeout_sec: {
    kind: "integer",
    default: 300,
    min: 0,
    zeroIsDefault: true,
    mark: "mapped",
    why: "What cache.read_timeout_sec is where that is not set",
  },
  max_retries: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: `Further attempts of a request for a range; ${OF_HTTP}`,
  },
  min_wait_msec: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: `Shortest wait before a further attempt; ${OF_HTTP}`,
  },
  max_wait_msec: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: `Longest wait before a further attempt; ${OF_HTTP}`,
  },
  force_single_range_mode: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "a request never asks for more than one range",
  },
  max_span_verification_retries: {
    kind: "integer",
    default: 0,
    mark: "ignored",
    why: "a span whose digest is wrong is fetched again from the origin, three times at most",
  },
} as const satisfies KeyTable;

/** `[registry]`: where registries and logins are found. */
export const REGISTRY_KEYS = {
  hosts_dir: {
    kind: "string",
    default: "/etc/containerd/certs.d",
    mark: "honoured",
    why: "Directory of hosts.toml files; none when empty or not there",
  },
  docker_config: {
    kind: "string",
    default: "",
    mark: "honoured",
    why: "File of logins as `docker login` writes it; empty: where it usually is",
  },
} as const satisfies KeyTable;

/** `[resolver]`: mirrors and logins of registries. */
export const RESOLVER_KEYS = {
  auth_client_ttl_sec: {
    kind: "integer",
    default: 3600,
    zeroIsDefault: true,
    mark: "ignored",
    why: "logins are asked for again whenever a registry refuses one",
  },
  enable_auth_client_sharing: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "images of one registry and login share what they can without it",
  },
  host: {
    kind: "named-tables",
    mark: "honoured",
    why: "Mirrors of a registry, by its host",
    keys: {
      mirrors: {
        kind: "table-list",
        mark: "honoured",
        why: "Asked in this order, before the registry",
        keys: {
          host: {
            kind: "string",
            default: "",
            mark: "honoured",
            why: "Host, with a port or a path",
          },
          insecure: { kind: "boolean", default: false, mark: "honoured", why: "Plain HTTP" },
          request_timeout_sec: {
            kind: "integer",
            default: 0,
            mark: "honoured",
            why: "Time for a request; 0: as in [http], below 0: none",
          },
        },
      },
    },
  },
} as const satisfies KeyTable;

/** `[kubeconfig_keychain]`: logins in a cluster's secrets. */
export const KUBECONFIG_KEYS = {
  enable_keychain: {
    kind: "boolean",
    default: false,
    mark: "honoured",
    why: "Takes logins that the cluster keeps for pulling images",
  },
  kubeconfig_path: {
    kind: "string",
    default: "",
    mark: "honoured",
    why: "Empty: where kubectl looks, then the pod's own account",
  },
} as const satisfies KeyTable;

/** `[cri_keychain]`: logins that come with CRI's PullImage. */
export const CRI_KEYS = {
  enable_keychain: {
    kind: "boolean",
    default: false,
    mark: "honoured",
    why: "Serves CRI's image service on our socket and takes logins from what passes",
  },
  image_service_path: {
    kind: "string",
    default: "/run/containerd/containerd.sock",
    mark: "honoured",
    why: "Socket of the image service behind it",
  },
} as const satisfies KeyTable;
