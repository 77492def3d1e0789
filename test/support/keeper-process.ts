import { join } from "node:path";
import { KeeperClient } from "../../src/keeper/keeper-client.ts";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { startKeeper } from "../../src/keeper/start-keeper.ts";

/** The program, from source. */
export const SELF = [process.execPath, join(import.meta.dirname, "../../src/main.ts")];

/** A keeper of a test's own, as a daemon starts it. Disposing kills it. */
export class KeeperProcess implements AsyncDisposable {
  readonly root: string;
  readonly pid: number;
  readonly client: KeeperClient;

  private constructor(root: string, pid: number) {
    this.root = root;
    this.pid = pid;
    this.client = new KeeperClient(keeperPaths(root).socket);
  }

  static async start(root: string, timeoutMs = 60_000): Promise<KeeperProcess> {
    const { pid } = await startKeeper({ root, self: SELF, timeoutMs });
    return new KeeperProcess(root, pid);
  }

  get isRunning(): boolean {
    return isRunning(this.pid);
  }

  /** Resolves when it is gone. @throws when that takes too long */
  async ended(): Promise<void> {
    await untilEnded(this.pid);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.isRunning) process.kill(this.pid, signal);
    await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

const PATIENCE_MS = 20_000;

/** Waits for a process that need not be a child. @throws when that takes too long */
export async function untilEnded(pid: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (isRunning(pid)) {
    if (performance.now() > deadline) throw new Error(`process ${pid} does not end`);
    await Bun.sleep(10);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
