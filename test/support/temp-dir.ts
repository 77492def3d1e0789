import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of its own for one test; disposing removes it with all that is in it. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** A path inside it. */
  join(...parts: readonly string[]): string;
}

export async function tempDir(): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), "sociable-test-"));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.asyncDispose]: async () => {
      try {
        await rm(path, { recursive: true, force: true });
      } catch {
        await makeWritable(path);
        await rm(path, { recursive: true, force: true });
      }
    },
  };
}

// A test may have taken away the right to list or empty a directory.
async function makeWritable(path: string): Promise<void> {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) {
      await makeWritable(join(path, entry.name));
    }
  }
}
