import { join } from "node:path";
import type { FuseNegotiated } from "../../src/fuse/init.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { unmountFuse } from "../../src/sys/unmount-fuse.ts";
import type { ServeRequest } from "./fuse-serve-main.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";

const MAIN = join(import.meta.dirname, "fuse-serve-main.ts");
const CLIENT_TIMEOUT_MS = 30_000;

export interface FuseServerEnd {
  /** Why each thread ended. */
  readonly ended: readonly string[];
}

/**
 * A process that serves a test file system on a directory of its own. Disposing ends the mount by
 * force, so that nothing can hang on it, and kills the process.
 */
export class FuseServer implements AsyncDisposable {
  readonly directory: string;
  readonly negotiated: FuseNegotiated;
  readonly process: ReturnType<typeof spawnServer>;
  readonly #dir: TempDir | undefined;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    started: Started,
    { directory, dir }: { directory: string; dir: TempDir | undefined },
  ) {
    this.process = started.process;
    this.negotiated = started.negotiated;
    this.#lines = started.lines;
    this.directory = directory;
    this.#dir = dir;
  }

  /** Mounts and serves. */
  static async start(request: Omit<ServeRequest, "directory">): Promise<FuseServer> {
    const dir = await tempDir();
    try {
      const directory = dir.path;
      return new FuseServer(await start({ ...request, directory }), { directory, dir });
    } catch (error) {
      await dropMount(dir.path);
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Serves a mount that lives already: `fd` is its connection, in this process. */
  static async takeOver(
    fd: number,
    request: ServeRequest & { readonly takeOver: FuseNegotiated },
  ): Promise<FuseServer> {
    const { directory } = request;
    return new FuseServer(await start(request, fd), { directory, dir: undefined });
  }

  /** Has it return from serving. */
  async stop(): Promise<void> {
    await this.process.stdin.end();
  }

  /** Why it ended, by itself. */
  async end(): Promise<FuseServerEnd> {
    const { value } = await this.#lines.next();
    await this.process.exited;
    if (typeof value !== "string") throw new Error("the server said nothing at its end");
    return JSON.parse(value) as FuseServerEnd; // of our own program
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dir !== undefined) await dropMount(this.directory);
    this.process.kill("SIGKILL");
    await this.process.exited;
    await this.#dir?.[Symbol.asyncDispose]();
  }
}

/** Unmounts by force whatever is mounted there. */
export async function dropMount(directory: string): Promise<void> {
  while ((await findMount(directory)) !== undefined) await unmountFuse(directory, { force: true });
}

interface Started {
  readonly process: ReturnType<typeof spawnServer>;
  readonly negotiated: FuseNegotiated;
  readonly lines: AsyncIterator<string>;
}

function spawnServer(request: ServeRequest, fd?: number) {
  return Bun.spawn([process.execPath, MAIN, JSON.stringify(request)], {
    stdio: ["pipe", "pipe", "inherit", ...(fd === undefined ? [] : [fd])],
  });
}

async function start(request: ServeRequest, fd?: number): Promise<Started> {
  const child = spawnServer(request, fd);
  const lines = linesOf(child.stdout);
  const { value } = await lines.next();
  if (typeof value !== "string") throw new Error("the server ended before it was ready");
  const { negotiated } = JSON.parse(value) as { negotiated: FuseNegotiated }; // of our own program
  return { process: child, negotiated, lines };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
  return undefined;
}

export interface ClientResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that may touch the mount; killed when it takes too long. Text is latin1, a byte a character. */
export async function runClient(command: readonly string[]): Promise<ClientResult> {
  await using client = startClient(command);
  return await client.result;
}

export interface Client extends AsyncDisposable {
  readonly pid: number;
  /** Asks it to end. */
  interrupt(): void;
  readonly result: Promise<ClientResult>;
}

/** The same, not waited for. */
export function startClient(command: readonly string[]): Client {
  const child = Bun.spawn([...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" },
    timeout: CLIENT_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const read = async (stream: ReadableStream<Uint8Array>): Promise<string> =>
    Buffer.from(await new Response(stream).arrayBuffer()).toString("latin1");
  return {
    pid: child.pid,
    interrupt: () => child.kill("SIGTERM"),
    result: (async () => {
      const [stdout, stderr] = await Promise.all([read(child.stdout), read(child.stderr)]);
      await child.exited;
      return { code: child.exitCode, signal: child.signalCode, stdout, stderr };
    })(),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
