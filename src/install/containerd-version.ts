import { existsSync } from "node:fs";
import { ContainerdClient } from "../containerd/containerd-client.ts";
import { isKind } from "../errors.ts";
import type { WaitOptions } from "../async/wait-options.ts";

/** A containerd that has not answered by then does not say its version. */
const TIMEOUT_MS = 3000;

/**
 * As `1.6.20`: of the containerd that listens at the socket, else of the program. `undefined` when
 * there is neither.
 */
export async function containerdVersion(
  { socket, program }: { readonly socket: string; readonly program: string | undefined },
  { signal }: WaitOptions = {},
): Promise<string | undefined> {
  const running = existsSync(socket) ? await runningVersion(socket, { signal }) : undefined;
  return running ?? (program === undefined ? undefined : await programVersion(program));
}

async function runningVersion(
  socket: string,
  { signal }: WaitOptions,
): Promise<string | undefined> {
  await using client = new ContainerdClient(socket);
  const late = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const { version } = await client.version({
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return versionIn(version);
  } catch (error) {
    signal?.throwIfAborted();
    if (late.aborted || isKind(error, "unavailable", "permission-denied")) return undefined;
    throw error;
  }
}

async function programVersion(program: string): Promise<string | undefined> {
  const path = Bun.which(program);
  if (path === null) return undefined;
  const child = Bun.spawn([path, "--version"], { stdio: ["ignore", "pipe", "ignore"] });
  const text = await new Response(child.stdout).text();
  return (await child.exited) === 0 ? versionIn(text) : undefined;
}

/** containerd github.com/containerd/containerd v1.7.2-rc.1 0cae528dd6cb557f7201036e9f43420650207b58 */
function versionIn(text: string): string | undefined {
  return /(?:^|\s)v?(\d+\.\d+\.\d+)/.exec(text)?.[1];
}
