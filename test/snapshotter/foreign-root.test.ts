import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { refuseForeignRoot } from "../../src/snapshotter/foreign-root.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

test.each(["snapshotter/metadata.db", "metadata.db"])(
  "refuseForeignRoot() names %p and what to do",
  async (name) => {
    await using dir = await tempDir();
    await mkdir(dirname(dir.join(name)), { recursive: true });
    await writeFile(dir.join(name), "");
    const error = await rejectionOf(refuseForeignRoot(dir.path));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(messagesOf(error)).toContain(dir.join(name));
    expect(messagesOf(error)).toContain("Remove the containers and images");
  },
);

test("refuseForeignRoot() takes a root of our own, and one that is not there", async () => {
  await using dir = await tempDir();
  await refuseForeignRoot(dir.path);
  await refuseForeignRoot(dir.join("no", "such"));
});
