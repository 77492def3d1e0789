import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";

const START_MS = 15_000;
const POLL_MS = 50;

/** A containerd of our own, with its own root, state and socket, that holds one image. */
export interface ContainerdWithImage extends AsyncDisposable {
  readonly address: string;
  readonly image: string;
}

/** Why no containerd can be started here, or undefined. */
export function whyNoContainerd(): string | undefined {
  if (process.geteuid?.() !== 0) return "not root";
  return ["containerd", "ctr"].every((program) => Bun.which(program) !== null)
    ? undefined
    : "containerd is not installed";
}

/** Starts containerd in `directory` and imports the image of an OCI layout, without unpacking it. */
export async function startContainerd(
  directory: string,
  layout: string,
  signal: AbortSignal,
): Promise<ContainerdWithImage> {
  await mkdir(directory, { recursive: true });
  const address = join(directory, "containerd.sock");
  const config = join(directory, "config.toml");
  await writeFile(
    config,
    `version = 2
root = ${JSON.stringify(join(directory, "root"))}
state = ${JSON.stringify(join(directory, "state"))}
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = ${JSON.stringify(address)}
[ttrpc]
address = ${JSON.stringify(`${address}.ttrpc`)}
`,
  );
  await using cleanup = new AsyncDisposableStack();
  const daemon = Bun.spawn(["containerd", "--config", config], {
    stdio: ["ignore", "ignore", Bun.file(join(directory, "log"))],
    detached: true,
  });
  cleanup.defer(async () => {
    daemon.kill("SIGTERM");
    await daemon.exited;
  });
  await waitUntilServed(address, signal);
  const archive = join(directory, "image.tar");
  await runCommand(["tar", "--create", `--file=${archive}`, `--directory=${layout}`, "."], {
    signal,
  });
  const name = "bench/image";
  const ctr = ["ctr", "--address", address, "images", "import", "--no-unpack"];
  await runCommand([...ctr, "--base-name", name, archive], { signal });
  const owned = cleanup.move();
  return {
    address,
    image: `${name}:latest`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function waitUntilServed(address: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (;;) {
    try {
      await runCommand(["ctr", "--address", address, "--connect-timeout", "1s", "version"], {
        signal,
      });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() > deadline) throw error;
    }
    await Bun.sleep(POLL_MS);
  }
}
