import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "./sociable-binary.ts";

/** A shim process: each has the containers of one task, or of a pod. */
interface Shim {
  readonly pid: number;
  readonly namespace: string;
  readonly id: string;
}

/**
 * Ends all shims of the containerd at an address, with their containers, whether it runs or not.
 * Those of other containerds are left alone.
 */
export async function endShims(address: string, stateDirectory: string): Promise<void> {
  for (const { pid, namespace, id } of await shimsOf(address)) {
    const runcRoot = join("/run/containerd/runc", namespace);
    // Kills what is in the container and takes away its control groups.
    await runProgram(["runc", "--root", runcRoot, "delete", "--force", id]);
    const bundle = join(stateDirectory, "io.containerd.runtime.v2.task", namespace, id);
    const sockets = await socketsOf(bundle);
    killProcess(pid);
    for (const socket of sockets) await rm(socket, { force: true });
  }
}

async function shimsOf(address: string): Promise<readonly Shim[]> {
  const shims: Shim[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end meanwhile.
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    const [program = "", ...args] = line.split("\0");
    if (!program.includes("containerd-shim")) continue;
    const flagOf = (flag: string): string | undefined => args[args.indexOf(flag) + 1];
    if (!args.includes("-address") || flagOf("-address") !== address) continue;
    const [namespace, id] = [flagOf("-namespace"), flagOf("-id")];
    if (namespace !== undefined && id !== undefined)
      shims.push({ pid: Number(name), namespace, id });
  }
  return shims;
}

/** Where a shim listens: containerd 1 keeps it in one file, containerd 2 in another. */
async function socketsOf(bundle: string): Promise<readonly string[]> {
  const files = ["address", "bootstrap.json"].map((name) =>
    readFile(join(bundle, name), "utf8").catch(() => ""),
  );
  const text = (await Promise.all(files)).join("\n");
  return text.match(/\/run\/containerd\/s\/[0-9a-f]+/g) ?? [];
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
