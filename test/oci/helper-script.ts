import { chmod, mkdir, writeFile } from "node:fs/promises";
import type { TempDir } from "../support/temp-dir.ts";

/** An environment whose PATH has a credential helper of this name: a shell script. */
export async function helperEnv(
  dir: TempDir,
  scripts: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const bin = dir.join("bin");
  await mkdir(bin, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    const path = dir.join("bin", `docker-credential-${name}`);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
  }
  return { PATH: `${bin}:/usr/bin:/bin`, HOME: dir.path };
}
