import { join } from "node:path";
import type { ListDirectoryOptions, ListedPath } from "./compare-trees.ts";

/** Lists all of a directory. */
export interface ListOrder extends ListDirectoryOptions {
  readonly task: "list";
  readonly directory: string;
}

/** Reads files of a directory and compares them with those of the same names elsewhere. */
export interface CompareOrder {
  readonly task: "compare";
  readonly directory: string;
  readonly reference: string;
  /** Relative to both. */
  readonly paths: readonly string[];
  /** So many reads at random; when neither this nor untilStopped is given, each file whole, once. */
  readonly reads?: number;
  /** Reads at random until stop(). */
  readonly untilStopped?: boolean;
  /** Past the page cache: each read is a question to the mount. */
  readonly isDirect?: boolean;
  readonly seed?: number;
}

export type ReaderOrder = ListOrder | CompareOrder;

export interface ReaderReport {
  /** That gave bytes. */
  readonly reads: number;
  readonly slowestMs: number;
  /** How long each read took that took long. */
  readonly stallsMs: readonly number[];
  /** The first places whose bytes are not right. */
  readonly wrong: readonly string[];
  /** The first reads that failed, each with its errno. */
  readonly errors: readonly string[];
}

export interface ReaderOptions {
  /** Runs before the program: another user, as setpriv gives it. */
  readonly prefix?: readonly string[];
  /** Then it is killed, and the test fails: nothing waits for ever. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;

/** A process that carries out one order. Disposing kills it. */
export class MountReader<T> implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #timer: NodeJS.Timeout;
  readonly #result: Promise<T>;
  #isLate = false;

  private constructor(order: ReaderOrder, { timeoutMs = TIMEOUT_MS, prefix = [] }: ReaderOptions) {
    const main = join(import.meta.dirname, "mount-reader-main.ts");
    this.#child = Bun.spawn([...prefix, process.execPath, main, JSON.stringify(order)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#timer = setTimeout(() => {
      this.#isLate = true;
      this.#child.kill("SIGKILL");
    }, timeoutMs);
    this.#result = this.#read();
    // Whoever only kills it does not ask.
    this.#result.catch(() => undefined);
  }

  /** Starts to compare. */
  static compare(
    order: Omit<CompareOrder, "task">,
    options: ReaderOptions = {},
  ): MountReader<ReaderReport> {
    return new MountReader({ task: "compare", ...order }, options);
  }

  static list(
    order: Omit<ListOrder, "task">,
    options: ReaderOptions = {},
  ): MountReader<ListedPath[]> {
    return new MountReader({ task: "list", ...order }, options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it found. @throws when it fails, or is killed */
  get result(): Promise<T> {
    return this.#result;
  }

  /** Ends an order that says untilStopped; resolves to what it found. */
  async stop(): Promise<T> {
    this.#child.stdin.end();
    return await this.#result;
  }

  /** Milliseconds until it is dead after SIGKILL. */
  async killed(): Promise<number> {
    const start = performance.now();
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    return performance.now() - start;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #read(): Promise<T> {
    const [stdout, stderr, code] = await Promise.all([
      new Response(this.#child.stdout).text(),
      new Response(this.#child.stderr).text(),
      this.#child.exited,
    ]);
    clearTimeout(this.#timer);
    if (this.#isLate) throw new Error("the reader of the mount did not come back");
    if (code !== 0) throw new Error(`the reader of the mount ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T; // what mount-reader-main.ts promises
  }
}
