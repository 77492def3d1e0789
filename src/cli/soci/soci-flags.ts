import { DEFAULT_CONTAINERD_ADDRESS } from "../../containerd/containerd-client.ts";
import { DEFAULT_MIN_LAYER_SIZE } from "../../soci/layer-plan.ts";
import { DEFAULT_MAX_CONCURRENT_UPLOADS } from "../../soci/push.ts";
import { DEFAULT_SPAN_SIZE } from "../../ztoc/ztoc.ts";
import type { GoFlag } from "./go-flags.ts";

export const CONTENT_STORES = ["soci", "containerd"] as const;
export const OUTPUT_FORMATS = ["oci-archive", "oci-dir"] as const;
export const EXISTING_INDEX = ["warn", "skip", "allow"] as const;

/** Before the command's name. */
export const GLOBAL_FLAGS: readonly GoFlag[] = [
  {
    names: ["address", "a"],
    type: "text",
    usage: "address for containerd's GRPC server",
    env: "CONTAINERD_ADDRESS",
    default: DEFAULT_CONTAINERD_ADDRESS,
  },
  {
    names: ["namespace", "n"],
    type: "text",
    usage: "namespace to use with commands",
    env: "CONTAINERD_NAMESPACE",
    default: "default",
  },
  { names: ["timeout"], type: "duration", usage: "timeout for commands" },
  { names: ["debug"], type: "bool", usage: "enable debug output" },
  {
    names: ["content-store"],
    type: "text",
    usage: "use a specific content store (soci, containerd)",
    default: "containerd",
  },
  {
    names: ["root"],
    type: "text",
    usage: "path to the root directory for the soci snapshotter",
    default: "/var/lib/soci-snapshotter-grpc/",
  },
];

export const PLATFORM_FLAGS: readonly GoFlag[] = [
  { names: ["all-platforms"], type: "bool", usage: "work on all platforms of the image" },
  { names: ["platform", "p"], type: "list", usage: "work on this platform; repeatable" },
];

export const ZTOC_FLAGS: readonly GoFlag[] = [
  {
    names: ["span-size"],
    type: "int",
    usage: "span size of zTOCs, in bytes",
    default: String(DEFAULT_SPAN_SIZE),
  },
  {
    names: ["min-layer-size"],
    type: "int",
    usage: "smaller layers get no zTOC, in bytes",
    default: String(DEFAULT_MIN_LAYER_SIZE),
  },
  { names: ["optimizations"], type: "list", usage: "optional optimizations; [xattr]" },
  { names: ["force", "f"], type: "bool", usage: "build zTOCs anew that are there already" },
];

export const PREFETCH_FLAGS: readonly GoFlag[] = [
  { names: ["prefetch-file"], type: "list", usage: "file to fetch ahead; repeatable" },
  {
    names: ["prefetch-files-json"],
    type: "text",
    usage: "JSON file with an array of files to fetch ahead",
  },
];

/** All that the Go tool takes; there, most of them have no effect. */
export const REGISTRY_FLAGS: readonly GoFlag[] = [
  { names: ["skip-verify", "k"], type: "bool", usage: "take any certificate of the registry" },
  { names: ["plain-http"], type: "bool", usage: "speak plain HTTP to the registry" },
  { names: ["user", "u"], type: "text", usage: "user[:password] of the registry" },
  { names: ["refresh"], type: "text", usage: "has no effect" },
  { names: ["hosts-dir"], type: "text", usage: "directory of hosts configurations" },
  { names: ["tlscacert"], type: "text", usage: "certificate authorities to trust" },
  { names: ["tlscert"], type: "text", usage: "client certificate" },
  { names: ["tlskey"], type: "text", usage: "client key" },
  { names: ["http-dump"], type: "bool", usage: "has no effect" },
  { names: ["http-trace"], type: "bool", usage: "has no effect" },
];

export const PUSH_FLAGS: readonly GoFlag[] = [
  {
    names: ["snapshotter"],
    type: "text",
    usage: "has no effect",
    env: "CONTAINERD_SNAPSHOTTER",
  },
  {
    names: ["existing-index"],
    type: "text",
    usage: "what to do where the registry has an index: warn, skip or allow",
    default: "warn",
  },
  {
    names: ["max-concurrent-uploads"],
    type: "uint",
    usage: "blobs to send at once",
    default: String(DEFAULT_MAX_CONCURRENT_UPLOADS),
  },
  { names: ["quiet", "q"], type: "bool", usage: "print digests only" },
];

export const QUIET_FLAG: GoFlag = {
  names: ["quiet", "q"],
  type: "bool",
  usage: "print digests only",
};

export const CONVERT_FLAGS: readonly GoFlag[] = [
  {
    names: ["standalone"],
    type: "bool",
    usage: "convert a layout or archive without containerd; images are paths",
  },
  {
    names: ["format"],
    type: "text",
    usage: "what --standalone writes: oci-archive or oci-dir",
    default: "oci-archive",
    check: (text) =>
      OUTPUT_FORMATS.some((format) => format === text)
        ? undefined
        : `unsupported output format ${JSON.stringify(text)}: must be "oci-archive" or "oci-dir"`,
  },
];
