import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { keeperPidOf } from "../../src/keeper/keeper-lock.ts";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { untilEnded } from "./keeper-process.ts";
import {
  type CompareOrder,
  MountReader,
  type ReaderOptions,
  type ReaderReport,
} from "./mount-reader.ts";
import type { MountSample } from "./mount-sample.ts";
import { runnableLayer } from "./runnable-image.ts";
import { type HostImage, ServeHost, type ServeHostOptions, SNAPSHOTTER } from "./serve-host.ts";

const TIMEOUT_MS = 120_000;

type Container = Awaited<ReturnType<ServeHost["containerd"]["startContainer"]>>;

/** A host with a container that runs on a lazily loaded image, and what its files must be. */
export class TakeoverHost implements AsyncDisposable {
  readonly host: ServeHost;
  readonly app: HostImage;
  readonly container: Container;
  readonly reference: string;
  readonly paths: readonly string[];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<TakeoverHost, "host" | "app" | "container" | "reference" | "paths">,
    resources: AsyncDisposableStack,
  ) {
    this.host = parts.host;
    this.app = parts.app;
    this.container = parts.container;
    this.reference = parts.reference;
    this.paths = parts.paths;
    this.#resources = resources;
  }

  static async start(sample: MountSample, options: ServeHostOptions = {}): Promise<TakeoverHost> {
    await using resources = new AsyncDisposableStack();
    const host = resources.use(await ServeHost.start(options));
    // The keeper goes before the directory that it is in.
    resources.defer(() => endKeeper(host.serve.root));
    const reference = host.dir.join("reference");
    for (const [path, content] of sample.files) {
      await mkdir(dirname(join(reference, path)), { recursive: true });
      await writeFile(join(reference, path), content);
    }
    const layers = [await runnableLayer(), ...sample.layers];
    const app = await host.put({ repository: "app", layers });
    await host.pulled(app.name);
    const container = resources.use(
      await host.containerd.startContainer({
        image: app.name,
        snapshotter: SNAPSHOTTER,
        args: ["/bin/sleep", "1000"],
      }),
    );
    // It has started when it can do something. The kernel then knows, too, that no FLUSH need be sent,
    // which a process that ends would wait for.
    await container.exec(["/bin/true"]);
    const paths = [...sample.files.keys()];
    return new TakeoverHost({ host, app, container, reference, paths }, resources.move());
  }

  get keeperPid(): number | undefined {
    return keeperPidOf(keeperPaths(this.host.serve.root).lock);
  }

  /** Where this process sees what the container sees. Only others may look: they can be killed. */
  get directory(): string {
    return `/proc/${this.container.pid}/root`;
  }

  compare(
    order: Partial<Omit<CompareOrder, "task">> = {},
    { timeoutMs = TIMEOUT_MS }: Pick<ReaderOptions, "timeoutMs"> = {},
  ): MountReader<ReaderReport> {
    const { directory, reference, paths } = this;
    return MountReader.compare({ directory, reference, paths, ...order }, { timeoutMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Ends the keeper of a state root, if there is one; its daemon must have been told. */
export async function endKeeper(root: string): Promise<void> {
  const pid = keeperPidOf(keeperPaths(root).lock);
  if (pid === undefined) return;
  process.kill(pid, "SIGKILL");
  await untilEnded(pid);
}
