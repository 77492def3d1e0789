import { join } from "node:path";

export interface ContainerdConfigOptions {
  /** Its root, state and sockets are there. */
  readonly directory: string;
  /** Remote snapshotters: the socket of each by its name. */
  readonly proxySnapshotters?: Readonly<Record<string, string>>;
  /** Kubernetes' interface; off when not given. */
  readonly cri?: CriOptions | undefined;
  /** containerd's major version. */
  readonly major?: number;
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
  major = 1,
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
    `version = ${major > 1 ? 3 : 2}
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
    ...(cri === undefined ? [] : [criSections(directory, cri, major)]),
  ];
  return sections.join("\n");
}

function criSections(directory: string, options: CriOptions, major: number): string {
  const { snapshotter, hostsDirectory = join(directory, "certs.d"), sandboxImage } = options;
  const plugin = (name: string): string => `[plugins.${text(name)}`;
  const server = `stream_server_address = "127.0.0.1"
stream_server_port = "0"
`;
  const images = `snapshotter = ${text(snapshotter)}
disable_snapshot_annotations = false
`;
  const binaries = text(join(directory, "cni", "bin"));
  const networks = `conf_dir = ${text(join(directory, "cni", "conf"))}
`;
  if (major === 1) {
    const cri = plugin("io.containerd.grpc.v1.cri");
    return `${cri}]
${server}restrict_oom_score_adj = true
${sandboxImage === undefined ? "" : `sandbox_image = ${text(sandboxImage)}\n`}${cri}.containerd]
${images}${cri}.registry]
config_path = ${text(hostsDirectory)}
${cri}.cni]
bin_dir = ${binaries}
${networks}`;
  }
  const cri = plugin("io.containerd.cri.v1.images");
  const sandbox = `${cri}.pinned_images]\nsandbox = ${text(sandboxImage ?? "")}\n`;
  return `${plugin("io.containerd.grpc.v1.cri")}]
${server}${cri}]
${images}use_local_image_pull = true
${cri}.registry]
config_path = ${text(hostsDirectory)}
${sandboxImage === undefined ? "" : sandbox}${plugin("io.containerd.cri.v1.runtime")}]
restrict_oom_score_adj = true
${plugin("io.containerd.cri.v1.runtime")}.cni]
bin_dirs = [${binaries}]
${networks}`;
}

/** A basic string of TOML: JSON's escapes are among its own. */
function text(value: string): string {
  return JSON.stringify(value);
}
