import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { sysClose, sysPidfdGetfd, sysPidfdOpen } from "../../src/sys/libc.ts";
import type { ServerOrder } from "./mount-server-main.ts";

/**
 * Holds the connection of a mount that another process serves, so that the mount lives on when that
 * process is killed, and starts others to serve it. Disposing kills those, and lets go.
 */
export class MountKeeper implements AsyncDisposable {
  readonly #fd: number;
  readonly #order: ServerOrder;
  #server: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;

  private constructor(fd: number, order: ServerOrder) {
    this.#fd = fd;
    this.#order = order;
  }

  /** Takes a copy of the descriptor of the process that serves a mount. */
  static async of(pid: number, order: ServerOrder): Promise<MountKeeper> {
    const pidfd = sysPidfdOpen(pid);
    const fd = sysPidfdGetfd(pidfd, await deviceOf(pid));
    sysClose(pidfd);
    if (fd < 0) throw new Error(`no descriptor of process ${pid} to be had: ${fd}`);
    return new MountKeeper(fd, order);
  }

  /** Starts a process that serves the mount from now on; the one before must have ended. */
  async serve(): Promise<void> {
    const main = join(import.meta.dirname, "mount-server-main.ts");
    const server = Bun.spawn([process.execPath, main, JSON.stringify(this.#order)], {
      stdio: ["ignore", "pipe", "pipe", this.#fd],
    });
    this.#server = server;
    const { value } = await server.stdout.getReader().read();
    if (value === undefined) {
      throw new Error(`the server ended: ${await new Response(server.stderr).text()}`);
    }
  }

  /** kill -9, in the middle of whatever it does. */
  async kill(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server?.exited;
  }

  /** Exit code of the process that serves now, by itself. */
  get exited(): Promise<number> | undefined {
    return this.#server?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    sysClose(this.#fd);
  }
}

/** A process's descriptor of its FUSE connection: the lowest, others are copies of it. */
async function deviceOf(pid: number): Promise<number> {
  const directory = `/proc/${pid}/fd`;
  const numbers = (await readdir(directory)).map(Number).toSorted((a, b) => a - b);
  for (const fd of numbers) {
    if ((await readlink(join(directory, String(fd))).catch(() => "")) === "/dev/fuse") return fd;
  }
  throw new Error(`process ${pid} serves no mount`);
}
