import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { entryPoints } from "./compile.ts";
import { outputOf, projectPath } from "./project.ts";

/** A package of which some file is in the executable. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** The text of its licence files. */
  readonly text: string;
}

/** Licences whose only condition is to be shown. */
const ALLOWED = new Set([
  "MIT",
  "ISC",
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Zlib",
]);

/**
 * The packages of which the executable holds code, by name, as the bundler reports them.
 * @throws for a licence that asks for more than being shown
 */
export async function bundledPackages(): Promise<readonly BundledPackage[]> {
  const names = new Set((await bundledFiles()).map(packageOf).filter((name) => name !== undefined));
  return await Promise.all([...names].toSorted().map(describePackage));
}

async function bundledFiles(): Promise<readonly string[]> {
  const directory = await mkdtemp(join(tmpdir(), "sociable-bundle-"));
  try {
    const metafile = join(directory, "meta.json");
    const built = await outputOf([
      process.execPath,
      "build",
      "--target=bun",
      `--outdir=${directory}`,
      `--metafile=${metafile}`,
      ...(await entryPoints()),
    ]);
    if (built === undefined) throw new Error("Cannot bundle the sources");
    const { inputs } = JSON.parse(await readFile(metafile, "utf8")) as { inputs: object };
    return Object.keys(inputs);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** `undefined` for a file that is ours. */
function packageOf(path: string): string | undefined {
  return /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

async function describePackage(name: string): Promise<BundledPackage> {
  const directory = projectPath("node_modules", name);
  const { version, license } = JSON.parse(
    await readFile(join(directory, "package.json"), "utf8"),
  ) as { version: string; license: string };
  const parts = license.replace(/[()]/g, "").split(/ (?:AND|OR) /);
  if (!parts.every((part) => ALLOWED.has(part))) {
    throw new Error(`Cannot bundle ${name}: its licence is ${license}`);
  }
  const files = (await readdir(directory)).filter((file) =>
    /^(?:licen[cs]e|copying|notice)/i.test(file),
  );
  if (files.length === 0) throw new Error(`Cannot bundle ${name}: it has no licence file`);
  const texts = await Promise.all(
    files.toSorted().map((file) => readFile(join(directory, file), "utf8")),
  );
  return { name, version, license, text: texts.map((text) => text.trim()).join("\n\n") };
}
