import { join } from "node:path";
import type { Digest } from "../../../src/oci/digest.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { runCli } from "../../../src/cli/run-cli.ts";
import { type LocalStore, openLocalStore } from "../../../src/soci/local-store.ts";
import { type BuiltLayer, buildLayer, type LayerEntry } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { FakeIo, type FakeIoOptions } from "../fake-io.ts";

export interface SandboxResult {
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderr: string;
}

/** A directory of its own, in which commands run with a state directory of their own. */
export interface Sandbox extends AsyncDisposable {
  /** The working directory of the commands. */
  readonly path: string;
  /** The state directory; not made yet. */
  readonly root: string;
  /** A path in the working directory. */
  join(name: string): string;
  run(
    argv: readonly string[],
    io?: FakeIoOptions & { readonly registry?: CommandGroup },
  ): Promise<SandboxResult>;
  write(name: string, bytes: Uint8Array | string): Promise<void>;
  openStore(): Promise<LocalStore>;
}

export async function sandbox(): Promise<Sandbox> {
  const dir = await tempDir();
  const root = dir.join("state");
  return {
    path: dir.path,
    root,
    join: (name) => join(dir.path, name),
    run: async (argv, { registry, ...options } = {}) => {
      const io = new FakeIo({ ...options, cwd: dir.path });
      const code = await runCli([...argv, "--root", root], {
        io,
        services: {},
        ...(registry === undefined ? {} : { registry }),
      });
      const { stdoutText: stdout, stdoutBytes, stderrText: stderr } = io;
      return { code, stdout, stdoutBytes, stderr };
    },
    write: async (name, bytes) => {
      await Bun.write(dir.join(name), bytes);
    },
    openStore: () => openLocalStore({ root }),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

/** A file's content that compresses as files do. */
export const BIG_FILE = sampleBytes(600_000);

const ENTRIES: readonly LayerEntry[] = [
  { name: "etc/", type: "directory" },
  { name: "etc/motd", content: "hello\n" },
  { name: "etc/empty" },
  { name: "usr/", type: "directory" },
  { name: "usr/big", content: BIG_FILE },
  { name: "usr/last", content: "the end\n" },
];

/** A small layer with many spans of 4 KiB. */
export function sampleLayer(entries = ENTRIES): Promise<BuiltLayer> {
  return buildLayer({ entries });
}

/** Runs `ztoc create` on a layer's bytes, which it leaves in `layer`, and the zTOC in `ztoc`. */
export async function createZtoc(
  box: Sandbox,
  bytes: Uint8Array,
  flags: readonly string[] = ["--span-size", "4096", "--output", "ztoc"],
): Promise<Digest> {
  await box.write("layer", bytes);
  const { code, stdout, stderr } = await box.run(["ztoc", "create", "layer", ...flags]);
  if (code !== 0) throw new Error(`ztoc create failed: ${stderr}`);
  return stdout.trim() as Digest;
}
