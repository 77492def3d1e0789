export interface SystemdUnitOptions {
  /** Absolute path of the program. */
  readonly program: string;
  readonly socket: string;
}

/**
 * Capabilities of the service: mounting, reading layers and writing the directories of snapshots
 * whoever they belong to, the id maps of containers' user namespaces, and the descriptors of a
 * service that was killed.
 */
const CAPABILITIES = [
  "CAP_SYS_ADMIN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_CHOWN",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_SETUID",
  "CAP_SETGID",
  "CAP_KILL",
  "CAP_SYS_PTRACE",
  "CAP_SYS_RESOURCE",
] as const;

/**
 * The service. No option in it gives it a mount namespace of its own (ProtectSystem=, PrivateTmp=
 * and their like): its mounts would not be seen by containers.
 */
export function serviceUnit({ program }: Pick<SystemdUnitOptions, "program">): string {
  return `# Written by \`sociable install\`. Changes belong into a drop-in: systemctl edit sociable
[Unit]
Description=sociable, containerd's lazy snapshotter
Documentation=man:containerd(8)
Wants=network-online.target
After=network-online.target local-fs.target
# Snapshots are restored before containerd starts containers on them.
Before=containerd.service
Requires=sociable.socket
After=sociable.socket
# It is started again as often as it takes: containers read through it.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=${unitWord(program)} serve --address fd://
Restart=always
RestartSec=100ms
TimeoutStartSec=300
TimeoutStopSec=60
# What keeps mounts alive while the service is away is not to be killed with it.
KillMode=process
OOMPolicy=continue
OOMScoreAdjust=-999
LimitNOFILE=1048576
LimitCORE=0
TasksMax=infinity
UMask=0077
# What would make the runtime load other code, or trust any certificate.
UnsetEnvironment=BUN_OPTIONS BUN_BE_BUN BUN_INSPECT NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED LD_PRELOAD

# Options that make a mount namespace (ProtectSystem=, ProtectHome=, PrivateTmp=, PrivateDevices=,
# ReadWritePaths=, ProtectKernel…=, ProtectProc=, LoadCredential= …) hide its mounts from containers.
CapabilityBoundingSet=${CAPABILITIES.join(" ")}
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=/dev/fuse rw
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
KeyringMode=private

[Install]
WantedBy=multi-user.target
`;
}

/** The socket, which is there before the service is: containerd waits instead of failing. */
export function socketUnit({ socket }: Pick<SystemdUnitOptions, "socket">): string {
  return `# Written by \`sociable install\`. Changes belong into a drop-in: systemctl edit sociable.socket
[Unit]
Description=Socket of sociable, containerd's lazy snapshotter
Before=containerd.service

[Socket]
ListenStream=${unitWord(socket)}
# Whoever reaches it can mount and remove snapshots.
SocketMode=0600
DirectoryMode=0700
# After an uninstall nothing is to be left of it.
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
`;
}

/** systemd.unit(5): `%` begins a specifier; spaces end a word. */
function unitWord(path: string): string {
  const escaped = path
    .replaceAll("%", "%%")
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("$", "$$$$");
  return /[\s"'\\]/.test(path) ? `"${escaped}"` : escaped;
}
