import { join } from "node:path";

export interface ContainerdConfigOptions {
  /** Its root, state and sockets are there. */
  readonly directory: string;
  /** Remote snapshotters: the socket of each by its name. */
  readonly proxySnapshotters?: Readonly<Record<string, string>>;
  /** Kubernetes' interface; off when not given. */
  readonly cri?: CriOptions | undefined;
}

export interface CriOptions {
  readonly snapshotter: string;
  /** Directory of hosts.toml files, as certs.d. Registries on loopback are asked by HTTP without one. */
  readonly hostsDirectory?: string;
  readonly sandboxImage?: string;
}

/** Where a containerd of ours listens. */
export function containerdAddress(directory: string): string {
  return join(directory, "containerd.sock");
}

/** A configuration file for it: nothing of the machine's own containerd is touched. */
export function containerdConfig({
  directory,
  proxySnapshotters = {},
  cri,
}: ContainerdConfigOptions): string {
  const address = containerdAddress(directory);
  const disabled = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    ...(cri === undefined ? ["io.containerd.grpc.v1.cri"] : []),
  ];
  const sections = [
    `version = 2
root = ${text(join(directory, "root"))}
state = ${text(join(directory, "state"))}
disabled_plugins = [${disabled.map(text).join(", ")}]
[grpc]
address = ${text(address)}
[ttrpc]
address = ${text(`${address}.ttrpc`)}
`,
    ...Object.entries(proxySnapshotters).map(
      ([name, socket]) => `[proxy_plugins.${text(name)}]
type = "snapshot"
address = ${text(socket)}
capabilities = ["remap-ids", "multi-remap-ids"]
`,
    ),
    ...(cri === undefined ? [] : [criSection(directory, cri)]),
  ];
  return sections.join("\n");
}

function criSection(directory: string, { snapshotter, ...options }: CriOptions): string {
  const { hostsDirectory, sandboxImage } = options;
  return `[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
stream_server_port = "0"
restrict_oom_score_adj = true
${sandboxImage === undefined ? "" : `sandbox_image = ${text(sandboxImage)}\n`}[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = ${text(snapshotter)}
disable_snapshot_annotations = false
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = ${text(hostsDirectory ?? join(directory, "certs.d"))}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${text(join(directory, "cni", "bin"))}
conf_dir = ${text(join(directory, "cni", "conf"))}
`;
}

/** A basic string of TOML: JSON's escapes are among its own. */
function text(value: string): string {
  return JSON.stringify(value);
}
