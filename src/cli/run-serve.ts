import { serve } from "../daemon/serve.ts";
import { notifyServiceManager } from "../sys/sd-notify.ts";
import { DEFAULT_SOCKET } from "./daemon-socket.ts";
import { mayResend } from "./may-resend.ts";
import type { ServeFunction } from "./serve-function.ts";
import { VERSION_INFO } from "./version.ts";

/** What differs between our own name and that of the Go snapshotter, beside defaults of the configuration. */
const NAMES = {
  sociable: {
    // As mounts are listed.
    mountType: "fuse.sociable",
    userAgent: `sociable/${VERSION_INFO.version}`,
    socket: DEFAULT_SOCKET,
  },
  "soci-snapshotter-grpc": {
    mountType: "fuse.rawBridge",
    userAgent: `soci-snapshotter/${VERSION_INFO.version}`,
    socket: "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock",
  },
} as const;

/** The daemon, on this process's threads, with its service manager told. */
export const runServe: ServeFunction = async (options) => {
  const { config, log, io, services, signal, personality } = options;
  const { mountThreads } = services;
  if (mountThreads === undefined) throw new Error("there are no threads to serve with");
  const { mountType, userAgent, socket } = NAMES[personality];
  const tell = (state: "READY=1" | "STOPPING=1"): void => {
    notifyServiceManager(state, { socket: io.env["NOTIFY_SOCKET"] }).catch((error: unknown) => {
      log.warn("service manager cannot be told", { state, error });
    });
  };
  await serve({
    config,
    env: io.env,
    uid: io.uid,
    threads: mountThreads,
    self: services.selfCommand,
    drains: options.drains,
    // For trials: as before Linux 6.9.
    resends: mayResend(io.env),
    userAgent,
    mountType,
    fallbackSocket: socket,
    onReady: (address) => {
      log.info(`${personality} successfully started`, { address, root: config.root });
      tell("READY=1");
    },
    onStopping: () => tell("STOPPING=1"),
    log,
    signal,
  });
};
