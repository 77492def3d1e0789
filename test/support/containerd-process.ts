import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type CompareOptions,
  differences,
  type ListedPath,
  listDirectory,
} from "./compare-trees.ts";
import {
  type ContainerdConfigOptions,
  containerdAddress,
  containerdConfig,
} from "./containerd-config.ts";
import { endShims } from "./containerd-shims.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { type Finished, runProgram } from "./sociable-binary.ts";
import { unmountBelow } from "./unmount-below.ts";

export interface ContainerdOptions extends ContainerdConfigOptions {
  /** Another containerd than the machine's; its shim is looked for beside it. */
  readonly program?: string;
}

export interface NamespaceOptions {
  readonly namespace?: string;
}

export interface ContainerOptions extends NamespaceOptions {
  readonly image: string;
  readonly snapshotter: string;
  /** Default: what the image says. */
  readonly args?: readonly string[];
  /** More flags of `ctr run`. */
  readonly flags?: readonly string[];
  readonly id?: string;
}

/** A container that runs. Disposing kills and deletes it with its snapshot. */
export interface RunningContainer extends AsyncDisposable {
  readonly id: string;
  readonly pid: number;
  /** Its root file system as the container sees it. */
  readonly rootfs: string;
  exec(args: readonly string[]): Promise<Finished>;
}

export interface MountedImage extends AsyncDisposable {
  readonly directory: string;
}

/** Programs that it takes, for describeMounts(). */
export const CONTAINERD_PROGRAMS: readonly string[] = ["containerd", "ctr", "runc"];
const BOOTED = "successfully booted";

/**
 * A containerd of our own with its own root, state and socket in a directory, which is made and, when it
 * is disposed of, removed with all shims, containers and mounts that belong to it.
 */
export class ContainerdProcess implements AsyncDisposable {
  readonly address: string;
  readonly #options: ContainerdOptions;
  readonly #startedMs = Date.now();
  #process: DaemonProcess;
  #ids = 0;

  private constructor(options: ContainerdOptions, process: DaemonProcess) {
    this.#options = options;
    this.#process = process;
    this.address = containerdAddress(options.directory);
  }

  /** Resolves when it can be used. @throws with its log when it ends before */
  static async start(options: ContainerdOptions): Promise<ContainerdProcess> {
    const { directory } = options;
    await mkdir(directory, { recursive: true });
    const major = await majorOf(options.program ?? "containerd");
    await writeFile(join(directory, "config.toml"), containerdConfig({ ...options, major }));
    const containerd = new ContainerdProcess(options, spawn(options));
    try {
      await containerd.#process.saying(BOOTED);
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its log since it was started last. */
  get log(): string {
    return this.#process.stderr;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Ends it; containers and their shims live on. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#process.isRunning) await this.#process.stop(signal);
  }

  /** Starts it again over what it left, after stop() or with one by SIGTERM. */
  async restart(): Promise<void> {
    await this.stop();
    this.#process = spawn(this.#options);
    await this.#process.saying(BOOTED);
  }

  /** Runs ctr against it. */
  async ctr(
    args: readonly string[],
    { namespace = "default" }: NamespaceOptions = {},
  ): Promise<Finished> {
    return await runProgram(this.ctrCommand(args, { namespace }));
  }

  /** As ctr(), for what must succeed; resolves to its standard output. @throws with what it printed */
  async ctrOutput(args: readonly string[], options: NamespaceOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.ctr(args, options);
    if (code !== 0) throw new Error(`ctr ${args.join(" ")} exited with ${code}: ${stderr}`);
    return Buffer.from(stdout).toString();
  }

  /** The command line, for whoever measures it. */
  ctrCommand(
    args: readonly string[],
    { namespace = "default" }: NamespaceOptions = {},
  ): readonly string[] {
    return ["ctr", "--address", this.address, "--namespace", namespace, ...args];
  }

  /** Downloads and unpacks an image in full, from a registry on loopback. */
  async pull(
    image: string,
    { snapshotter = "overlayfs", namespace }: { snapshotter?: string } & NamespaceOptions = {},
  ): Promise<void> {
    const options = namespace === undefined ? {} : { namespace };
    // Of containerd 2, only this way takes any snapshotter; of 1.6 there is no other.
    const flags = ["--plain-http", ...(await this.#localPull()), "--snapshotter", snapshotter];
    await this.ctrOutput(["images", "pull", ...flags, image], options);
  }

  async #localPull(): Promise<readonly string[]> {
    const help = await this.ctrOutput(["images", "pull", "--help"]);
    return help.includes("--local") ? ["--local"] : [];
  }

  /** Runs a container to its end and deletes it; its output is the result. */
  async runContainer({ namespace, ...options }: ContainerOptions): Promise<Finished> {
    return await this.ctr(this.runArguments(options), namespace === undefined ? {} : { namespace });
  }

  /** What runContainer() gives to ctr, for whoever measures it. */
  runArguments({ image, snapshotter, args = [], flags = [], id }: ContainerOptions): string[] {
    const name = id ?? this.newId();
    return ["run", "--rm", "--snapshotter", snapshotter, ...flags, image, name, ...args];
  }

  /** A name for a container that no other of this machine has: runc and cgroups know them by it. */
  newId(): string {
    this.#ids += 1;
    return `sociable-test-${process.pid}-${this.#process.pid}-${this.#ids}`;
  }

  /** Starts a container that lives until it is disposed of. */
  async startContainer(options: ContainerOptions): Promise<RunningContainer> {
    const { image, snapshotter, args = [], flags = [], id = this.newId() } = options;
    const { namespace = "default" } = options;
    const run = ["run", "--detach", "--null-io", "--snapshotter", snapshotter, ...flags];
    await this.ctrOutput([...run, image, id, ...args], { namespace });
    const remove = async (): Promise<void> => {
      await this.ctr(["tasks", "delete", "--force", id], { namespace });
      await this.ctr(["containers", "delete", id], { namespace });
    };
    try {
      const tasks = await this.ctrOutput(["tasks", "list"], { namespace });
      const pid = Number(
        tasks
          .split("\n")
          .find((line) => line.split(/\s+/)[0] === id)
          ?.split(/\s+/)[1],
      );
      if (!Number.isInteger(pid)) throw new Error(`container ${id} does not run: ${tasks}`);
      let execs = 0;
      return {
        id,
        pid,
        rootfs: `/proc/${pid}/root`,
        exec: async (command) => {
          execs += 1;
          return await this.ctr(["tasks", "exec", "--exec-id", `exec-${execs}`, id, ...command], {
            namespace,
          });
        },
        [Symbol.asyncDispose]: remove,
      };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  /** Mounts an image that was pulled with a snapshotter, read-only as a view of it. Disposing unmounts it. */
  async mountImage(
    image: string,
    { snapshotter, namespace = "default" }: { readonly snapshotter: string } & NamespaceOptions,
  ): Promise<MountedImage> {
    this.#ids += 1;
    const directory = join(this.#options.directory, `image-${this.#ids}`);
    await mkdir(directory);
    const options = { namespace };
    await this.ctrOutput(
      ["images", "mount", "--snapshotter", snapshotter, image, directory],
      options,
    );
    return {
      directory,
      [Symbol.asyncDispose]: async () => {
        const flags = ["--snapshotter", snapshotter, "--rm"];
        await this.ctr(["images", "unmount", ...flags, directory], options);
        await unmountBelow(directory);
      },
    };
  }

  /** What differs between an image's root file system as two snapshotters show it; nothing, it should be. */
  async compareRootfs(
    image: string,
    {
      snapshotters: [got, want],
      namespace = "default",
      ...compare
    }: { readonly snapshotters: readonly [got: string, want: string] } & NamespaceOptions &
      CompareOptions,
  ): Promise<readonly string[]> {
    await using ours = await this.mountImage(image, { snapshotter: got, namespace });
    await using theirs = await this.mountImage(image, { snapshotter: want, namespace });
    const options = { ignoreXattrs: ["security.selinux", "trusted.overlay."] };
    const [gotNodes, wantNodes] = [
      await Array.fromAsync(listDirectory(ours.directory, options)),
      await Array.fromAsync(listDirectory(theirs.directory, options)),
    ];
    return differences(...withoutMadeTimes(gotNodes, wantNodes, this.#startedMs), compare);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    const { directory } = this.#options;
    await endShims(this.address, join(directory, "state"));
    await unmountBelow(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Of what `containerd --version` says: `containerd <module> 1.6.20 …`. */
async function majorOf(program: string): Promise<number> {
  const { stdout } = await runProgram([program, "--version"]);
  const words = Buffer.from(stdout).toString().split(/\s+/);
  // One that was built by `go install` does not know its version, but its module has it.
  return /\/v2$/.test(words[1] ?? "") || /^v?2\./.test(words[2] ?? "") ? 2 : 1;
}

/**
 * Both without the times of directories that were written to while somebody unpacked: those that no
 * layer lists, or not every layer that puts something there.
 */
function withoutMadeTimes(
  got: readonly ListedPath[],
  want: readonly ListedPath[],
  startedMs: number,
): [ListedPath[], ListedPath[]] {
  const isMade = ({ type, mtime }: ListedPath): boolean =>
    type === "dir" && Number(mtime) >= Math.floor(startedMs / 1000);
  const made = new Set([...got, ...want].filter(isMade).map(({ path }) => path));
  const timeless = (node: ListedPath): ListedPath =>
    made.has(node.path) ? { ...node, mtime: "when it was unpacked" } : node;
  return [got.map(timeless), want.map(timeless)];
}

function spawn({ directory, program = "containerd" }: ContainerdOptions): DaemonProcess {
  const path = process.env["PATH"] ?? "";
  const env = existsSync(program) ? { PATH: `${dirname(program)}:${path}` } : {};
  return new DaemonProcess([program, "--config", join(directory, "config.toml")], { env });
}
