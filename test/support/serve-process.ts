import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DaemonProcess } from "./daemon-process.ts";
import { liveDirectoryOf } from "./mount-temp.ts";
import { SOCIABLE } from "./sociable-binary.ts";
import { unmountBelow } from "./unmount-below.ts";

export interface ServeOptions {
  /** State root, socket and configuration are below it. */
  readonly directory: string;
  /** Another state root. */
  readonly root?: string;
  /** Another socket. */
  readonly address?: string;
  /** TOML behind what every test needs; top-level keys may begin it. */
  readonly config?: string;
  /** In the place of what every test needs: metrics on a socket, see get(). */
  readonly ownConfig?: string;
  /** The socket of the containerd that it may ask, running or not. */
  readonly containerd?: string;
  /** The command line before the flags. Default: `dist/sociable serve`. */
  readonly command?: readonly string[];
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A line of its log. */
export interface ServeRecord {
  readonly level?: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

const STARTED = /"msg":"[^"]*successfully started/;

/**
 * A `sociable serve` of a test's own. Disposing kills it and takes away what is left of its mounts, its
 * shared memory and its directory.
 */
export class ServeProcess implements AsyncDisposable {
  readonly #options: ServeOptions;
  #process: DaemonProcess;
  #records: ServeRecord[] = [];
  /** Lines that were no JSON. */
  #strays: string[] = [];

  private constructor(options: ServeOptions) {
    this.#options = options;
    this.#process = this.#spawn();
  }

  /** Resolves when it can be used. @throws with its log when it ends before */
  static async start(options: ServeOptions): Promise<ServeProcess> {
    const serve = await ServeProcess.spawn(options);
    try {
      await serve.started();
      return serve;
    } catch (error) {
      await serve[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts it, whatever comes of it. */
  static async spawn(options: ServeOptions): Promise<ServeProcess> {
    const { directory, config = "", containerd = join(directory, "no.sock") } = options;
    await mkdir(directory, { recursive: true });
    const metrics = `metrics_address = ${JSON.stringify(metricsAddress(directory))}\nmetrics_network = "unix"\n`;
    const { ownConfig: own = metrics } = options;
    const store = `[content_store]\ncontainerd_address = ${JSON.stringify(containerd)}\n`;
    await writeFile(join(directory, "config.toml"), `${own}${config}\n${store}`);
    return new ServeProcess(options);
  }

  /** Its socket, as containerd's configuration names it. */
  get address(): string {
    return this.#options.address ?? join(this.#options.directory, "sociable.sock");
  }

  get root(): string {
    return this.#options.root ?? join(this.#options.directory, "root");
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** All that it has printed since it was started last. */
  get stderr(): string {
    return this.#process.stderr;
  }

  get exited(): Promise<number> {
    return this.#process.exited;
  }

  /** Its log, over all starts. */
  get records(): readonly ServeRecord[] {
    return this.#records;
  }

  get strays(): readonly string[] {
    return this.#strays;
  }

  /** Log lines with this message. */
  recordsOf(message: string | RegExp): readonly ServeRecord[] {
    return this.#records.filter(({ msg = "" }) =>
      typeof message === "string" ? msg === message : message.test(msg),
    );
  }

  /** Waits until it says that it can be used. */
  async started(): Promise<void> {
    await this.saying(STARTED);
  }

  /** Waits until its log of this start has this. */
  async saying(text: string | RegExp): Promise<void> {
    await this.#process.saying(text);
  }

  /** Asks it to end; resolves to its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    return await this.#process.stop(signal);
  }

  /** As the kernel does when memory is short; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  /** Starts it again over what it left; resolves when it can be used. */
  async restart(): Promise<void> {
    if (this.#process.isRunning) await this.stop();
    this.#process = this.#spawn();
    await this.started();
  }

  /** Its metrics as Prometheus reads them: values by name with labels, as `x_total{cause="demand"}`. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await this.get("/metrics")).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(" ");
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }

  /** Asks its HTTP server. */
  async get(path: string): Promise<Response> {
    return await fetch(`http://localhost${path}`, {
      unix: metricsAddress(this.#options.directory),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    const { directory } = this.#options;
    await unmountBelow(directory);
    // Of a root that is not below it, somebody else takes care.
    const live = await liveDirectoryOf(join(directory, "root")).catch(() => undefined);
    if (live !== undefined) await rm(live, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  }

  #spawn(): DaemonProcess {
    const { directory, command = [SOCIABLE, "serve"], flags = [], env = {} } = this.#options;
    const paths = ["--config", join(directory, "config.toml"), "--root", this.root];
    return new DaemonProcess([...command, ...paths, "--address", this.address, ...flags], {
      env,
      onLine: (line) => this.#note(line),
    });
  }

  #note(line: string): void {
    try {
      this.#records.push(JSON.parse(line) as ServeRecord);
    } catch {
      this.#strays.push(line);
    }
  }
}

function metricsAddress(directory: string): string {
  return join(directory, "metrics.sock");
}
