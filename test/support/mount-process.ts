import { existsSync } from "node:fs";
import { SOCIABLE } from "./sociable-binary.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { abortFuse } from "../../src/sys/unmount-fuse.ts";
import { MNT_DETACH, sysUmount } from "../../src/sys/libc.ts";

/** Why real mounts cannot be tried here; undefined when they can. */
export const MOUNTS_IMPOSSIBLE: string | undefined =
  process.geteuid?.() !== 0
    ? "not root"
    : existsSync("/dev/fuse")
      ? undefined
      : "there is no /dev/fuse";

export interface MountOptions {
  readonly root: string;
  readonly image: string;
  readonly directory: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before the program: another user, as setpriv gives it. */
  readonly prefix?: readonly string[];
  /** Instead of dist/sociable: a copy that such a user may run. */
  readonly program?: string;
}

/** Longest that anything is waited for: a test that hangs fails, and cleans up. */
const PATIENCE_MS = 30_000;

/** A `sociable mount` in the foreground. Disposing ends it and whatever is left of its mount. */
export class MountProcess implements AsyncDisposable {
  readonly directory: string;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #output: Promise<void>;
  #stderr = "";
  #onText: () => void = () => undefined;

  private constructor({
    root,
    image,
    directory,
    flags = [],
    env = {},
    prefix = [],
    program = SOCIABLE,
  }: MountOptions) {
    this.directory = directory;
    const command = [...prefix, program, "mount", "--root", root, ...flags, image, directory];
    this.#child = Bun.spawn(command, {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
    });
    this.#output = this.#read();
  }

  /** Resolves when the mount can be used. @throws with what was printed when it ends before */
  static async start(options: MountOptions): Promise<MountProcess> {
    const mount = MountProcess.spawn(options);
    try {
      await mount.saying("Mounted ");
      return mount;
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts it, whatever comes of it. */
  static spawn(options: MountOptions): MountProcess {
    return new MountProcess(options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed on standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Its exit code, once it has ended. @throws when that takes too long */
  get exited(): Promise<number> {
    const exited = this.#output.then(() => this.#child.exited);
    return inTime(exited, () => `sociable mount does not end: ${this.#stderr}`);
  }

  /** Waits until it has said so on standard error. @throws when that takes too long, or it ends before */
  async saying(text: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      this.#onText = () => {
        if (this.#stderr.includes(text)) resolve();
      };
      this.#onText();
    });
    const ended = this.#output.then(async () => {
      if (this.#stderr.includes(text)) return;
      throw new Error(`sociable mount ended with ${await this.#child.exited}: ${this.#stderr}`);
    });
    const waited = Promise.race([said, ended]);
    await inTime(waited, () => `sociable mount does not say "${text}": ${this.#stderr}`);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    await removeMount(this.directory);
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#stderr += decoder.decode(chunk, { stream: true });
      this.#onText();
    }
    this.#onText();
  }
}

async function inTime<T>(promise: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message())), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Takes away whatever FUSE mounts are left on a directory; nobody may wait for them afterwards. */
export async function removeMount(directory: string): Promise<void> {
  for (;;) {
    const mount = await findMount(directory);
    if (mount === undefined || !mount.type.startsWith("fuse")) return;
    await abortFuse(mount.device);
    if (sysUmount(directory, MNT_DETACH) < 0) return;
  }
}
