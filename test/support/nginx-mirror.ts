import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Certificate } from "./certificates.ts";

export interface NginxMirrorOptions {
  /** It keeps everything there. */
  readonly directory: string;
  /** Host and port of the registry, which speaks TLS. */
  readonly target: string;
  readonly certificate: Certificate;
  /** The Authorization header with which it goes to the registry; its own clients need none. */
  readonly authorization: string;
}

/** Debian's nginx as a mirror that caches, as a child process. */
export interface NginxMirror extends AsyncDisposable {
  readonly host: string;
}

const START_MS = 10_000;

/** Starts it on a free port of loopback. Disposing ends it. */
export async function startNginxMirror(options: NginxMirrorOptions): Promise<NginxMirror> {
  const { directory } = options;
  const port = await freePort();
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "nginx.conf"), configOf(options, port));
  const child = Bun.spawn(
    ["nginx", "-p", directory, "-c", join(directory, "nginx.conf"), "-e", "stderr"],
    // In a group of its own: Ctrl-C is for whoever started it, who then ends it.
    { stdio: ["ignore", "ignore", "pipe"], detached: true },
  );
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await child.exited;
  };
  const host = `127.0.0.1:${port}`;
  try {
    await untilAnswers(port, child.exited);
    return { host, [Symbol.asyncDispose]: stop };
  } catch (cause) {
    await stop();
    throw new Error(`nginx does not start: ${await new Response(child.stderr).text()}`, { cause });
  }
}

// One process: nothing is left when it ends. It strips the Range header of what it caches, and cuts
// the ranges out of its copies itself.
function configOf(
  { directory, target, certificate, authorization }: NginxMirrorOptions,
  port: number,
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(directory, name)};`)
    .join("\n  ");
  return `daemon off;
master_process off;
pid ${join(directory, "nginx.pid")};
events {}
http {
  access_log off;
  ${temporary}
  proxy_cache_path ${join(directory, "cache")} keys_zone=registry:1m;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificate.certFile};
    ssl_certificate_key ${certificate.keyFile};
    location /v2/ {
      limit_except GET HEAD { deny all; }
      proxy_pass https://${target};
      proxy_set_header Host $http_host;
      proxy_set_header Authorization "${authorization}";
      proxy_cache registry;
      proxy_cache_key $uri;
      proxy_cache_valid 200 1h;
      proxy_cache_valid 404 1h;
    }
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("there is no free port");
  return address.port;
}

async function untilAnswers(port: number, ended: Promise<number>): Promise<void> {
  const state = { isOver: false };
  const over = (): void => {
    state.isOver = true;
  };
  const timer = setTimeout(over, START_MS);
  ended.then(over, over);
  try {
    while (!state.isOver) {
      try {
        (
          await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } })
        ).end();
        return;
      } catch {
        await Bun.sleep(20);
      }
    }
    throw new Error("nobody listens");
  } finally {
    clearTimeout(timer);
  }
}
