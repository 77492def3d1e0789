import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { projectPath, run } from "./project.ts";
import { type ReleaseTarget, RUNTIME_VERSION } from "./release-targets.ts";

const CACHE = projectPath("node_modules/.runtimes");

/**
 * Bun's executable for a platform: from npm, checked against the hash that stands in
 * release-targets.ts, and kept in node_modules.
 */
export async function runtimeOf(target: ReleaseTarget): Promise<string> {
  const directory = join(CACHE, `${target.name}-${RUNTIME_VERSION}`);
  const runtime = join(directory, "package/bin/bun");
  if (existsSync(runtime)) return runtime;
  const unfinished = `${directory}.${process.pid}.tmp`;
  await mkdir(unfinished, { recursive: true });
  try {
    const pack = ["npm", "pack", "--silent", `--pack-destination=${unfinished}`];
    if ((await run([...pack, `${target.package}@${RUNTIME_VERSION}`])) !== 0) {
      throw new Error(`Cannot get ${target.package}@${RUNTIME_VERSION} from npm`);
    }
    const [file = ""] = await readdir(unfinished);
    const archive = join(unfinished, file);
    const hash = createHash("sha512").update(await readFile(archive));
    const integrity = `sha512-${hash.digest("base64")}`;
    if (integrity !== target.integrity) {
      throw new Error(`Cannot use ${file}: integrity is ${integrity}, want ${target.integrity}`);
    }
    if ((await run(["tar", "-xzf", archive, "-C", unfinished])) !== 0) {
      throw new Error(`Cannot unpack ${file}`);
    }
    await rm(archive);
    await rename(unfinished, directory);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return runtime;
}
