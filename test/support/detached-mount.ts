import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isKind } from "../../src/errors.ts";
import { KeeperClient, type KeeperStatus } from "../../src/keeper/keeper-client.ts";
import { namedKeepersOf } from "../../src/keeper/keeper-paths.ts";
import { removeMount } from "./mount-process.ts";
import type { MountStage } from "./mount-stage.ts";
import { SOCIABLE } from "./sociable-binary.ts";

export interface DetachedMountOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: string;
  readonly image?: string;
  /** Where the command is given. Default: where this process is. */
  readonly cwd?: (mount: DetachedMount) => string;
  /** On its standard input. */
  readonly input?: string;
}

const PATIENCE_MS = 20_000;

/**
 * A `sociable mount --detach` of a stage's image: processes that nobody has as children. Disposing ends
 * them and the mount.
 */
export class DetachedMount implements AsyncDisposable {
  readonly root: string;
  readonly directory: string;

  private constructor(root: string, directory: string) {
    this.root = root;
    this.directory = directory;
  }

  /** Resolves when the mount can be used. @throws with what was printed when it cannot */
  static async start(
    stage: MountStage,
    {
      flags = [],
      env = {},
      program = SOCIABLE,
      image = stage.name,
      input = "",
      cwd = () => process.cwd(),
    }: DetachedMountOptions = {},
  ): Promise<DetachedMount> {
    const mount = new DetachedMount(stage.temp.join("root"), stage.temp.join("mnt"));
    const { root, directory } = mount;
    await mkdir(directory, { recursive: true });
    const command = [program, "mount", "--detach", "--root", root, ...flags, image, directory];
    const child = Bun.spawn(command, {
      cwd: cwd(mount),
      stdin: Buffer.from(input),
      stdout: "ignore",
      stderr: "pipe",
      env: { ...process.env, ...env },
    });
    const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    if (code === 0) return mount;
    await mount[Symbol.asyncDispose]();
    throw new Error(`sociable mount --detach ended with ${code}: ${stderr}`);
  }

  /** The process that serves it; undefined when there is none. */
  get serverPid(): number | undefined {
    return this.#processes().find(({ isKeeper }) => !isKeeper)?.pid;
  }

  get keeperPid(): number | undefined {
    return this.#processes().find(({ isKeeper }) => isKeeper)?.pid;
  }

  /** Files of keepers in the state root. */
  get keeperFiles(): readonly string[] {
    const directory = namedKeepersOf(this.root);
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  /** What the processes have written since the mount could be used. */
  get log(): string {
    const directory = `${this.root}/log`;
    return readdirSync(directory)
      .map((name) => readFileSync(`${directory}/${name}`, "utf8"))
      .join("");
  }

  /** kill -9 of the process that serves it; resolves when that is gone. */
  async killServer(): Promise<void> {
    await kill(this.serverPid);
  }

  async killKeeper(): Promise<void> {
    await kill(this.keeperPid);
  }

  /** At the same time, so that none can start the other again. */
  async killBoth(): Promise<void> {
    const { keeperPid, serverPid } = this;
    await Promise.all([kill(keeperPid), kill(serverPid)]);
  }

  /** Resolves when another process than `former` serves it, and has told the keeper. */
  async servedAgain(former: number | undefined): Promise<void> {
    await until(
      async () => {
        const pid = this.serverPid;
        return (
          pid !== undefined && pid !== former && (await this.#keeperStatus())?.isLeased === true
        );
      },
      () => this.log,
    );
  }

  /** Resolves when there is neither a server nor a keeper. */
  async ended(): Promise<void> {
    await until(
      () => this.#processes().length === 0,
      () => this.log,
    );
  }

  /** Resolves when a keeper that is another process than `former` has what it is to have. */
  async keptAgain(former: number | undefined): Promise<void> {
    await until(
      async () => {
        const status = await this.#keeperStatus();
        return status?.isLeased === true && status.held === 1 && status.pid !== former;
      },
      () => this.log,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeMount(this.directory);
    // The keeper first, which would start another server.
    for (let left = this.#processes(); left.length > 0; left = this.#processes()) {
      await kill((left.find(({ isKeeper }) => isKeeper) ?? left[0])?.pid);
    }
  }

  async #keeperStatus(): Promise<KeeperStatus | undefined> {
    const socket = this.keeperFiles.find((name) => name.endsWith(".sock"));
    if (socket === undefined) return undefined;
    try {
      return await new KeeperClient(join(namedKeepersOf(this.root), socket)).status();
    } catch (error) {
      if (isKind(error, "not-found", "unavailable")) return undefined;
      throw error;
    }
  }

  /** Of this mount: no other has its directory on the command line. */
  #processes(): readonly { readonly pid: number; readonly isKeeper: boolean }[] {
    return readdirSync("/proc").flatMap((name) => {
      const words = commandLineOf(name);
      if (!words.includes(this.directory) || !words.includes("mount")) return [];
      return [{ pid: Number(name), isKeeper: words.includes("keeper") }];
    });
  }
}

/** None of a process that is gone, or dead and not yet waited for. */
function commandLineOf(pid: string): readonly string[] {
  if (!/^\d+$/.test(pid)) return [];
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

async function kill(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await until(
    () => commandLineOf(String(pid)).length <= 1,
    () => `process ${pid} does not end`,
  );
}

async function until(isSo: () => boolean | Promise<boolean>, message: () => string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`it does not come to that: ${message()}`);
    await Bun.sleep(10);
  }
}
