import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { safeText } from "../src/cli/safe-text.ts";
import { SociError } from "../src/errors.ts";
import { containerdAddress } from "../test/support/containerd-config.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../test/support/containerd-process.ts";
import { ServeProcess } from "../test/support/serve-process.ts";
import type { Cost } from "./demo-download.ts";
import { removeLeftovers } from "./demo-leftovers.ts";
import type { LineMeter } from "./demo-meter.ts";
import { whyNoMounts } from "./demo-mount.ts";
import { shortDigests } from "./demo-output.ts";
import { endProcessesOf } from "./demo-processes.ts";
import { type ProgramRun, runProgram } from "./demo-program.ts";
import { type ReportRow, sumOfCosts } from "./demo-report.ts";
import { type SpecimenRead, type Stage, sociable } from "./demo-stage.ts";

export interface StartContainersOptions {
  /** The image, straight from the registry. */
  readonly near: string;
  /** The image behind the slow line. */
  readonly far: string;
  /** What was read of it by other means; the container reads it, too. */
  readonly reads: readonly SpecimenRead[];
  /** On that line. */
  readonly meter: LineMeter;
}

/** What it has cost to get an image, and then to run a container of it. */
interface ContainerCosts {
  readonly pull: Cost;
  readonly run: Cost;
}

const SNAPSHOTTER = "sociable";
/** The program that the container runs, where images have it. */
const HASHERS = ["/bin/sha256sum", "/usr/bin/sha256sum"];
/** So that nothing is counted but what the container has asked for. */
const NO_FILL = "[background_fetch]\ndisable = true\n";

/**
 * Starts the same container twice, each time by a containerd that knows nothing yet: pulled in full,
 * and lazily. Rows for the table; none where containers cannot be started, which is said.
 * @throws data-loss when the container reads a byte that is not right
 */
export async function startContainers(
  stage: Stage,
  options: StartContainersOptions,
): Promise<readonly ReportRow[]> {
  const { output } = stage;
  const skipped = (reason: string): undefined => {
    output.line(safeText(`skipped: ${reason}`));
  };
  const hasher = await output.step("Look for what containers take", async () => {
    const reason = await whyNoContainers(stage);
    if (reason !== undefined) return skipped(reason);
    const found = await findHasher(stage, options.near);
    if (found === undefined) return skipped("the image has no sha256sum, which it would run");
    output.line("containerd and runc, each time with a root, a state and a socket of its own");
    return found;
  });
  if (hasher === undefined) return [];

  const run = new ContainerRun(stage, options, hasher);
  const full = await output.step("Start a container, pulled in full, from afar", async () => {
    try {
      return await run.inFull();
    } catch (error) {
      // Nothing of sociable's takes part in it: it is this machine that cannot, or this image.
      stage.signal.throwIfAborted();
      return skipped(lastLine(error));
    }
  });
  if (full === undefined) return [];
  const lazy = await output.step("Start the same container lazily, from afar", () => run.lazily());
  return [...rowsOf("in full", full, full), ...rowsOf("lazily", lazy, full)];
}

/** Why no container can be started here, in one line; undefined when it is worth trying. */
async function whyNoContainers({ directory }: Stage): Promise<string | undefined> {
  if (process.geteuid?.() !== 0) return "only root starts containers";
  const missing = CONTAINERD_PROGRAMS.filter((program) => Bun.which(program) === null);
  if (missing.length > 0) {
    return `not installed: ${missing.join(", ")}; on Debian: apt-get install containerd runc`;
  }
  const place = join(directory, "try");
  await mkdir(place);
  return await whyNoMounts(place);
}

async function findHasher(stage: Stage, near: string): Promise<string | undefined> {
  for (const path of HASHERS) {
    const { code } = await sociable(stage, "look", ["ls", near, path], { accept: [1] });
    if (code === 0) return path;
  }
  return undefined;
}

function rowsOf(how: string, costs: ContainerCosts, rivals: ContainerCosts): readonly ReportRow[] {
  const both = sumOfCosts(costs.pull, costs.run);
  return [
    { title: `${how}: pull`, cost: costs.pull, rival: rivals.pull },
    { title: `${how}: container, started and done`, cost: costs.run, rival: rivals.run },
    { title: `${how}: both`, cost: both, rival: sumOfCosts(rivals.pull, rivals.run) },
  ];
}

/** A container that prints the digests of the specimens, by two ways to get its image. */
class ContainerRun {
  readonly #stage: Stage;
  readonly #options: StartContainersOptions;
  readonly #hasher: string;
  /** A name that no other container of this machine has: runc and control groups know it by it. */
  readonly #id = `sociable-demo-${process.pid}`;

  constructor(stage: Stage, options: StartContainersOptions, hasher: string) {
    this.#stage = stage;
    this.#options = options;
    this.#hasher = hasher;
  }

  /** As any host with containerd does it. */
  async inFull(): Promise<ContainerCosts> {
    await using resources = new AsyncDisposableStack();
    const directory = this.#path("full");
    resources.defer(() => removeLeftovers(containerdAddress(directory), this.#id));
    const containerd = resources.use(await ContainerdProcess.start({ directory }));
    const images = ["images", "pull"];
    // Of containerd 2, only this way takes any snapshotter; of 1.x there is no other.
    const { stdout } = await this.#ctr(containerd, [...images, "--help"], { isTold: false });
    const local = Buffer.from(stdout).includes("--local") ? ["--local"] : [];
    const pull = await this.#cost(() =>
      this.#ctr(containerd, [...images, "--plain-http", ...local, this.#options.far]),
    );
    return { pull, run: await this.#cost(() => this.#hash(containerd, "overlayfs")) };
  }

  async lazily(): Promise<ContainerCosts> {
    const { output, program, signal } = this.#stage;
    await using resources = new AsyncDisposableStack();
    const host = this.#path("lazy");
    resources.defer(() => removeLeftovers(containerdAddress(host), this.#id));
    output.command(["sociable", "serve"]);
    const serve = resources.use(
      await ServeProcess.start({
        directory: this.#path("serve"),
        containerd: containerdAddress(host),
        config: NO_FILL,
        command: [...program.argv, "serve"],
      }),
    );
    const containerd = resources.use(
      await ContainerdProcess.start({
        directory: host,
        proxySnapshotters: { [SNAPSHOTTER]: serve.address },
      }),
    );
    // Before containerd is, so that nobody waits in its mounts any more.
    resources.defer(() => endServe(serve));
    output.line(`process ${serve.pid}; it fetches nothing here that nobody asks for`);
    signal.throwIfAborted();
    const pull = await this.#cost(() => this.#pull(containerd));
    return { pull, run: await this.#cost(() => this.#hash(containerd, SNAPSHOTTER)) };
  }

  /** All that came over the line for it, also what came after it. */
  async #cost(work: () => Promise<ProgramRun>): Promise<Cost> {
    const { meter } = this.#options;
    const before = meter.traffic;
    const { ms } = await work();
    await meter.quiet({ signal: this.#stage.signal });
    const { requests, bytes } = meter.traffic;
    return { ms, requests: requests - before.requests, bytes: bytes - before.bytes };
  }

  async #pull(containerd: ContainerdProcess): Promise<ProgramRun> {
    const { output } = this.#stage;
    const { far } = this.#options;
    output.command(["sociable", "pull", far]);
    const argv = ["pull", "--address", containerd.address, far];
    const run = await sociable(this.#stage, "puller", argv, { showProgress: true });
    output.text(shortDigests(Buffer.from(run.stdout).toString()));
    return run;
  }

  async #hash(containerd: ContainerdProcess, snapshotter: string): Promise<ProgramRun> {
    const { output } = this.#stage;
    const { far, reads } = this.#options;
    const paths = reads.map(({ choice }) => choice.file.path);
    const flags = ["--rm", "--snapshotter", snapshotter, "--fifo-dir", this.#path("fifos")];
    const run = await this.#ctr(containerd, [
      "run",
      ...flags,
      far,
      this.#id,
      this.#hasher,
      ...paths,
    ]);
    output.text(run.stdout);
    const printed = Buffer.from(run.stdout).toString().trimEnd().split("\n");
    for (const [i, { bytes, choice }] of reads.entries()) {
      const digest = createHash("sha256").update(bytes).digest("hex");
      // A name with a backslash has one more before its line.
      if (printed[i]?.replace(/^\\/, "").startsWith(`${digest} `) === true) continue;
      throw new SociError(
        "data-loss",
        `Cannot use "${choice.file.path}" in the container: it is not the original`,
      );
    }
    output.line("these are the digests of the originals");
    return run;
  }

  async #ctr(
    containerd: ContainerdProcess,
    args: readonly string[],
    { isTold = true } = {},
  ): Promise<ProgramRun> {
    const { output, signal } = this.#stage;
    if (isTold) output.command(["ctr", ...withoutFifos(args)]);
    // It would pass a SIGTERM on to the container.
    return await runProgram(containerd.ctrCommand(args), { signal, abortWith: "SIGKILL" });
  }

  #path(name: string): string {
    return join(this.#stage.directory, name);
  }
}

/** A command as a user would type it, who leaves them where they are by default. */
function withoutFifos(args: readonly string[]): readonly string[] {
  return args.filter((arg, i) => arg !== "--fifo-dir" && args[i - 1] !== "--fifo-dir");
}

/** Ends it with all that it has started: who keeps its mounts would wait for the next one. */
async function endServe(serve: ServeProcess): Promise<void> {
  await serve.kill();
  await endProcessesOf(serve.root);
  await serve[Symbol.asyncDispose]();
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split("\n").at(-1) ?? text;
}
