import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Debian's docker-registry (Docker Distribution 2.8: no Referrers API), as a child process. */
export interface DockerRegistry extends AsyncDisposable {
  /** As names of images spell it: `127.0.0.1:<port>`. */
  readonly host: string;
}

const STARTED = /listening on 127\.0\.0\.1:(\d+)/;
const START_MS = 20_000;

/** The program, where it is installed. */
export function findDockerRegistry(): string | undefined {
  return Bun.which("docker-registry") ?? undefined;
}

export interface DockerRegistryOptions {
  /** It keeps everything there. */
  readonly directory: string;
  readonly tls?: {
    readonly certFile: string;
    readonly keyFile: string;
    /** Clients must show a certificate of this authority. */
    readonly clientCaFile?: string;
  };
  /** Who may come in, by Basic; everybody when not given. */
  readonly login?: { readonly username: string; readonly password: string };
}

/** Starts it on a free port of loopback. Disposing ends it. */
export async function startDockerRegistry(
  program: string,
  { directory, tls, login }: DockerRegistryOptions,
): Promise<DockerRegistry> {
  const config = join(directory, "registry.yml");
  const log = { level: "info", formatter: "json" };
  const storage = {
    filesystem: { rootdirectory: join(directory, "registry") },
    delete: { enabled: true },
  };
  // JSON is YAML. Port 0: the system picks one, and the log says which.
  const http = {
    addr: "127.0.0.1:0",
    ...(tls === undefined
      ? {}
      : {
          tls: {
            certificate: tls.certFile,
            key: tls.keyFile,
            ...(tls.clientCaFile === undefined ? {} : { clientcas: [tls.clientCaFile] }),
          },
        }),
  };
  const auth = login === undefined ? {} : { auth: { htpasswd: await htpasswd(directory, login) } };
  await writeFile(config, JSON.stringify({ version: 0.1, log, storage, http, ...auth }));
  const child = Bun.spawn([program, "serve", config], {
    stdio: ["ignore", "ignore", "pipe"],
    // In a group of its own: Ctrl-C is for whoever started it, who then ends it.
    detached: true,
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
  };
  try {
    const port = await portOf(child.stderr);
    return { host: `127.0.0.1:${port}`, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function htpasswd(
  directory: string,
  { username, password }: { readonly username: string; readonly password: string },
): Promise<{ readonly realm: string; readonly path: string }> {
  const path = join(directory, "htpasswd");
  const hash = await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 });
  await writeFile(path, `${username}:${hash}\n`);
  return { realm: "test", path };
}

/** Reads the log until it names the port, and goes on reading so that the child never waits. */
async function portOf(log: ReadableStream<Uint8Array>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const tooLate = setTimeout(() => reject(new Error("docker-registry does not start")), START_MS);
  const read = async (): Promise<void> => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of log) {
      text = (text + decoder.decode(chunk, { stream: true })).slice(-65_536);
      const [, port] = STARTED.exec(text) ?? [];
      if (port !== undefined) resolve(Number(port));
    }
    reject(new Error(`docker-registry ended: ${text.slice(-1000)}`));
  };
  read().catch(reject);
  try {
    return await promise;
  } finally {
    clearTimeout(tooLate);
  }
}
