import { createCipheriv } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { exampleShape } from "../support/example-shape.ts";
import {
  type BuiltImage,
  buildImage,
  type LayerEntry,
  type LayerSpec,
} from "../support/image-builder.ts";
import type { ReadmeCommand } from "../support/readme.ts";
import { runnableEntries } from "../support/runnable-image.ts";
import { runProgram, SOCIABLE } from "../support/sociable-binary.ts";
import type { TempDir } from "../support/temp-dir.ts";

/** The repository and the directory that README.md's examples name. */
const REGISTRY = "localhost:5000";
const MOUNT_POINT = "/mnt/app";

/** Just above `--min-layer-size`. */
const BIG = 11 * 1024 * 1024;

export interface ReadmeStageOptions {
  readonly dir: TempDir;
  /** Of the registry that has the images. */
  readonly host?: string;
  /** State directory; default: one of its own. */
  readonly root?: string;
  /** What stands for what README.md says: in command lines, and in output the other way round. */
  readonly names?: Readonly<Record<string, string>>;
  /** Arguments at the end of a command, by its first words. */
  readonly extra?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs README.md's commands in a shell, as they stand but for names of places. */
export class ReadmeStage {
  readonly #dir: TempDir;
  readonly #names: readonly (readonly [example: string, actual: string])[];
  readonly #env: Readonly<Record<string, string>>;
  /** Digests by how examples shorten theirs. */
  readonly #digests = new Map<string, string>();

  private constructor({ dir, host = REGISTRY, names = {}, env = {} }: ReadmeStageOptions) {
    this.#dir = dir;
    this.#names = Object.entries({
      [REGISTRY]: host,
      [MOUNT_POINT]: dir.join("mnt"),
      ...names,
    });
    // Nothing of who runs the tests, least of all a pager and logins.
    const path = `${dir.join("bin")}:${process.env["PATH"] ?? ""}`;
    this.#env = { PATH: path, HOME: dir.path, PAGER: "cat", ...env };
  }

  static async make(options: ReadmeStageOptions): Promise<ReadmeStage> {
    const { dir, root = dir.join("root"), extra = {} } = options;
    for (const name of ["bin", "mnt", "work"]) await mkdir(dir.join(name));
    const cases = Object.entries(extra).map(
      ([words, more]) => `"${words} "*) set -- "$@" ${more} ;;\n`,
    );
    const script = `#!/bin/sh
case "$* " in
${cases.join("")}esac
exec "${SOCIABLE}" "$@" --root "${root}"
`;
    await writeFile(dir.join("bin/sociable"), script);
    await chmod(dir.join("bin/sociable"), 0o755);
    return new ReadmeStage(options);
  }

  /** Resolves to what it printed, in the example's names. @throws when it fails */
  async run({ line, output: example }: ReadmeCommand): Promise<string> {
    const command = this.#actual(line);
    const argv = ["sh", "-c", `cd "$0" && ${command}`, this.#dir.join("work")];
    const { code, stdout, stderr } = await runProgram(argv, { env: this.#env });
    const printed = Buffer.from(stdout).toString() + stderr;
    if (code !== 0) throw new Error(`${command} exited with ${code}: ${printed}`);
    const output = this.#names.reduce(
      (text, [name, actual]) => text.replaceAll(actual, name),
      printed,
    );
    this.#learn(example ?? "", output);
    return output;
  }

  #actual(line: string): string {
    const named = this.#names.reduce((text, [name, actual]) => text.replaceAll(name, actual), line);
    return named.replace(/sha256:[0-9a-f]{8}…?/g, (short) => {
      const digest = this.#digests.get(short.slice(0, 15));
      if (digest === undefined) throw new Error(`no output above says what ${short} is`);
      return digest;
    });
  }

  /** Takes the nth line of a kind for the nth of that kind in the example. */
  #learn(example: string, output: string): void {
    const actual = Map.groupBy(output.split("\n"), exampleShape);
    for (const [shape, lines] of Map.groupBy(example.split("\n"), exampleShape)) {
      for (const [nth, line] of lines.entries()) {
        const digests = digestsOf(actual.get(shape)?.[nth] ?? "");
        for (const [at, short] of digestsOf(line).entries()) {
          const digest = digests[at];
          if (digest !== undefined) this.#digests.set(short.slice(0, 15), digest);
        }
      }
    }
  }
}

function digestsOf(line: string): readonly string[] {
  return line.match(/sha256:[0-9a-f]+/g) ?? [];
}

/** An image as README.md's examples have it: four big layers, and at the top a small one, with a shell. */
export async function readmeImage(): Promise<BuiltImage> {
  const settings: readonly LayerEntry[] = [
    { name: "etc/os-release", content: 'ID=sociable-demo\nPRETTY_NAME="sociable\'s demo"\n' },
    { name: "etc/motd", content: "Made of the files of a machine that ran the demo.\n" },
  ];
  const small = { entries: [...(await runnableEntries(["sh"])), ...settings] };
  return await buildImage({ layers: [...[1, 2, 3, 4].map(bigLayer), small] });
}

function bigLayer(number: number): LayerSpec {
  return {
    entries: [
      { name: "usr/share/GConf", type: "directory" },
      { name: "usr/share/X11/locale/iso8859-1/Compose", content: noise(20_000, number) },
      { name: `usr/lib/big-${number}`, content: noise(BIG, number) },
    ],
  };
}

/** Bytes that cannot be compressed, the same on every call. */
function noise(length: number, seed: number): Uint8Array {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(length));
}
