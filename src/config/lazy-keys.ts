import type { KeyTable } from "./config-key.ts";

const ONE_CACHE = "a layer's bytes lie in one sparse file, and in memory by the kernel";

/** `[directory_cache]`. */
export const DIRECTORY_CACHE_KEYS = {
  max_lru_cache_entry: { kind: "integer", default: 0, mark: "ignored", why: ONE_CACHE },
  max_cache_fds: { kind: "integer", default: 0, mark: "ignored", why: ONE_CACHE },
  sync_add: { kind: "boolean", default: false, mark: "ignored", why: ONE_CACHE },
  direct: { kind: "boolean", default: true, mark: "ignored", why: ONE_CACHE },
} as const satisfies KeyTable;

/** `[cache]`: layers on disk. */
export const CACHE_KEYS = {
  size: {
    kind: "size",
    default: 0,
    mark: "honoured",
    why: "Most that layers may take on disk; 0: 80 % of the file system less 10 GiB",
  },
  read_timeout_sec: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: "How long a read waits for its bytes before it fails; 0: blob.fetching_timeout_sec",
  },
} as const satisfies KeyTable;

const NEVER_CHANGE = "layers never change, so the kernel keeps what it knows";

/** `[fuse]`. */
export const FUSE_KEYS = {
  threads: {
    kind: "integer",
    default: 0,
    min: 0,
    mark: "honoured",
    why: "Threads that answer the kernel; 0: by the processors",
  },
  attr_timeout: {
    kind: "integer",
    default: 1,
    zeroIsDefault: true,
    mark: "ignored",
    why: NEVER_CHANGE,
  },
  entry_timeout: {
    kind: "integer",
    default: 1,
    zeroIsDefault: true,
    mark: "ignored",
    why: NEVER_CHANGE,
  },
  negative_timeout: {
    kind: "integer",
    default: 1,
    zeroIsDefault: true,
    mark: "ignored",
    why: NEVER_CHANGE,
  },
  log_fuse_operations: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "reads are counted, not logged: paths of files tell too much",
  },
} as const satisfies KeyTable;

const LINE_RATE =
  "the rest of a layer comes at the rate of the line, behind whatever is waited for";

/** `[background_fetch]`. */
export const BACKGROUND_FETCH_KEYS = {
  disable: {
    kind: "boolean",
    default: false,
    mark: "honoured",
    why: "Fetches only what is read",
  },
  silence_period_msec: {
    kind: "integer",
    default: 30_000,
    zeroIsDefault: true,
    mark: "ignored",
    why: LINE_RATE,
  },
  fetch_period_msec: {
    kind: "integer",
    default: 500,
    zeroIsDefault: true,
    mark: "ignored",
    why: LINE_RATE,
  },
  max_queue_size: {
    kind: "integer",
    default: 300,
    zeroIsDefault: true,
    mark: "ignored",
    why: "no layer is dropped",
  },
  drop_policy: {
    kind: "choice",
    choices: ["newest", "oldest"],
    default: "newest",
    mark: "ignored",
    why: "no layer is dropped",
  },
  emit_metric_period_sec: {
    kind: "integer",
    default: 10,
    zeroIsDefault: true,
    mark: "ignored",
    why: "metrics are counted when they are asked for",
  },
} as const satisfies KeyTable;

/** `[prefetch]`: spans that an index's author wants early. */
export const PREFETCH_KEYS = {
  enable: {
    kind: "boolean",
    default: false,
    sociable: true,
    mark: "honoured",
    why: "Fetches what a prefetch artifact names right behind demand",
  },
  max_concurrency: {
    kind: "integer",
    default: 0,
    mark: "ignored",
    why: "the spans of all layers share the line, behind whatever is waited for",
  },
} as const satisfies KeyTable;
