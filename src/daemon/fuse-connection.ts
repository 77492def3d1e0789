import { SociError } from "../errors.ts";
import { negotiateFuse } from "../fuse/device.ts";
import { FUSE_HAS_RESEND } from "../fuse/abi.ts";
import { type FuseNegotiated, hasFeature } from "../fuse/init.ts";
import type { Logger } from "../observability/log.ts";
import { sysClose } from "../sys/libc.ts";
import { mountFuse } from "../sys/mount-fuse.ts";
import { findMount } from "../sys/mountinfo.ts";
import { setReadahead } from "../sys/readahead.ts";
import { MOUNT_TYPE, type MountType, unmountImage } from "./unmount-image.ts";

/** Who has a copy of each connection, so that the mount goes on when this process ends. Does not throw. */
export interface ConnectionKeeper {
  keep(connection: KeptConnection): Promise<void>;
  /** The mount is no more. */
  forget(device: string): Promise<void>;
}

export interface KeptConnection {
  /** Stays the giver's. */
  readonly fd: number;
  readonly device: string;
  readonly directory: string;
  /** Whether the kernel can be asked for what was read and not answered. */
  readonly resends: boolean;
}

export interface OpenConnectionOptions {
  /** Absolute, without symlinks. */
  readonly directory: string;
  /** Shown as the mount's source. */
  readonly name: string;
  readonly type?: MountType;
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly allowOther: boolean;
  /** Whether POSIX ACLs are enforced. */
  readonly acls: boolean;
  /** Whether the entries of the root may change. */
  readonly rootChanges?: boolean;
  /** As FuseInitOptions. */
  readonly resends?: boolean | undefined;
  readonly keeper?: ConnectionKeeper | undefined;
  readonly log: Logger;
}

const MAX_READ = 1 << 20;
const READAHEAD_BYTES = 4 << 20;

/** A mount and the descriptor by which it is served, as plain facts: INIT has been answered. */
export interface ConnectionFacts {
  readonly fd: number;
  readonly directory: string;
  readonly type: MountType;
  /** As stat(2) shows it: `0:52`. */
  readonly device: string;
  readonly negotiated: FuseNegotiated;
}

export interface ConnectionContext {
  readonly log: Logger;
  readonly keeper?: ConnectionKeeper | undefined;
}

/** A mount of this process, or one that it has taken over. Disposing unmounts, whoever uses it, and closes. */
export class FuseConnection implements AsyncDisposable {
  readonly fd: number;
  readonly directory: string;
  readonly device: string;
  readonly negotiated: FuseNegotiated;
  readonly #type: MountType;
  readonly #log: Logger;
  readonly #keeper: ConnectionKeeper | undefined;
  #isOpen = true;

  constructor(
    { fd, directory, type, device, negotiated }: ConnectionFacts,
    { log, keeper }: ConnectionContext,
  ) {
    this.fd = fd;
    this.directory = directory;
    this.device = device;
    this.negotiated = negotiated;
    this.#type = type;
    this.#log = log;
    this.#keeper = keeper;
  }

  /** Whether the kernel can be asked for what was read and not answered. */
  get resends(): boolean {
    return hasFeature(this.negotiated, FUSE_HAS_RESEND);
  }

  /** Mounts. @throws failed-precondition, permission-denied, unsupported … */
  static async open(options: OpenConnectionOptions): Promise<FuseConnection> {
    const { directory, name, type = MOUNT_TYPE, suid = false, dev = false, keeper } = options;
    await using cleanup = new AsyncDisposableStack();
    const below = await findMount(directory);
    const fd = await mountFuse({
      directory,
      source: name,
      subtype: type.slice("fuse.".length),
      maxRead: MAX_READ,
      allowOther: options.allowOther,
      suid,
      dev,
    });
    cleanup.defer(() => void sysClose(fd));
    const device = (await findMount(directory))?.device;
    if (device === undefined || device === below?.device) {
      throw new SociError("unavailable", `Cannot mount on "${directory}": it is unmounted already`);
    }
    cleanup.defer(() => unmountImage(directory, { force: true, device, type }));
    const { acls, rootChanges = false, resends = true } = options;
    const negotiated = negotiateFuse(fd, { maxRead: MAX_READ, acls, rootChanges, resends });
    await setReadahead(device, READAHEAD_BYTES);
    cleanup.move();
    const connection = new FuseConnection({ fd, directory, type, device, negotiated }, options);
    await keeper?.keep(connection);
    return connection;
  }

  /** Unmounts, if it is mounted; when it is in use it is detached, and whoever uses it gets errors. */
  async unmount(): Promise<void> {
    const { directory, device } = this;
    const type = this.#type;
    try {
      await unmountImage(directory, { device, type });
    } catch (error) {
      if (!(error instanceof SociError) || error.kind === "not-found") return;
      this.#log.warn("mount is in use and is detached", { directory });
      await unmountImage(directory, { force: true, device, type });
    }
  }

  /**
   * Of a mount that has ended, whoever ended it. The descriptor's number may be another file's next:
   * nobody may write to it any more. Twice is fine.
   */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.leave();
    await this.#keeper?.forget(this.device);
  }

  /** Closes the descriptor and leaves the mount to whoever the keeper gives its copy. */
  leave(): void {
    if (this.#isOpen) sysClose(this.fd);
    this.#isOpen = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    try {
      await unmountImage(this.directory, { force: true, device: this.device, type: this.#type });
    } finally {
      await this.close();
    }
  }
}
