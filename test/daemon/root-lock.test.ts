import { expect, test } from "bun:test";
import { lockRoot } from "../../src/daemon/root-lock.ts";
import { tempDir } from "../support/temp-dir.ts";

test("lockRoot() lets one in, names it to the next, and lets that one in afterwards", async () => {
  await using dir = await tempDir();
  const first = lockRoot(dir.path);
  expect(() => lockRoot(dir.path)).toThrow(`another daemon does (process ${process.pid})`);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using _second = lockRoot(dir.path);
  expect(() => lockRoot(dir.path)).toThrow(/another daemon does/);
});
