import { expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { checkSupported } from "../../src/daemon/check-supported.ts";
import { describeAsRoot } from "../support/describe-as-root.ts";
import { tempDir } from "../support/temp-dir.ts";

describeAsRoot("checkSupported()", () => {
  test("finds a usual directory good and leaves nothing there, whatever its name", async () => {
    await using dir = await tempDir();
    const odd = dir.join("a,b:c d");
    mkdirSync(odd);
    for (const root of [dir.path, odd]) checkSupported(root);
    expect(readdirSync(odd)).toEqual([]);
  });
});
