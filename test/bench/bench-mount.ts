import { abortFuse } from "../../src/sys/unmount-fuse.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { MNT_DETACH, sysUmount } from "../../src/sys/libc.ts";
import { runCommand } from "./run-command.ts";

export interface BenchMountOptions {
  readonly binary: string;
  /** The state root: empty for a cold one. */
  readonly root: string;
  readonly image: string;
  readonly directory: string;
  readonly flags?: readonly string[];
  /** What it says on standard error when it is far enough; default: when it can be used. */
  readonly until?: string;
  readonly signal: AbortSignal;
}

const STDERR_SHOWN = 2000;

/** A `sociable mount` that is measured. Disposing unmounts it and waits for its end. */
export class BenchMount implements AsyncDisposable {
  readonly directory: string;
  /** By performance.now(), just before it was started. */
  readonly startedMs: number;
  readonly #options: BenchMountOptions;
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #output: Promise<void>;
  #stderr = "";
  #onText: () => void = () => undefined;

  private constructor(options: BenchMountOptions) {
    const { binary, root, image, directory, flags = [] } = options;
    this.#options = options;
    this.directory = directory;
    this.startedMs = performance.now();
    this.#child = Bun.spawn([binary, "mount", "--root", root, ...flags, image, directory], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#output = this.#read();
  }

  static async start(options: BenchMountOptions): Promise<BenchMount> {
    options.signal.throwIfAborted();
    const mount = new BenchMount(options);
    try {
      await mount.saying(options.until ?? "Mounted ");
      return mount;
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until it has said so on standard error. */
  async saying(text: string): Promise<void> {
    const { signal } = this.#options;
    const said = new Promise<void>((resolve) => {
      this.#onText = () => {
        if (this.#stderr.includes(text) || signal.aborted) resolve();
      };
      signal.addEventListener("abort", () => this.#onText(), { once: true });
      this.#onText();
    });
    const ended = this.#output.then(async () => {
      const code = await this.#child.exited;
      throw new Error(
        `sociable mount ended with ${code}, want "${text}": ${this.#stderr.trim().slice(-STDERR_SHOWN)}`,
      );
    });
    await Promise.race([said, ended]);
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The polite way first: its clean end belongs to what is promised.
    if (this.#child.exitCode === null && !this.#options.signal.aborted) {
      this.#child.kill("SIGTERM");
      await Promise.race([this.#child.exited, Bun.sleep(10_000)]);
    }
    this.#child.kill("SIGKILL");
    await this.#output;
    await this.#child.exited;
    const left = await findMount(this.directory);
    if (left === undefined || !left.type.startsWith("fuse")) return;
    await abortFuse(left.device);
    sysUmount(this.directory, MNT_DETACH);
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#stderr += decoder.decode(chunk, { stream: true });
      this.#onText();
    }
  }
}

/** A directory shown through overlayfs as a container's root file system would be: read-only, disposing unmounts it. */
export async function mountOverlay(
  directory: string,
  {
    lower,
    empty,
    signal,
  }: { readonly lower: string; readonly empty: string; readonly signal: AbortSignal },
): Promise<AsyncDisposable> {
  const layers = `lowerdir=${empty}:${lower}`;
  await runCommand(["mount", "-t", "overlay", "overlay", "-o", `ro,${layers}`, directory], {
    signal,
  });
  return {
    [Symbol.asyncDispose]: async () => void sysUmount(directory, MNT_DETACH),
  };
}
