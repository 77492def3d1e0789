import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { ownProcess } from "../../src/oci/process-id.ts";
import { TemporaryStage } from "../../src/oci/temporary-stage.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

test("TemporaryStage leaves nothing behind, whatever was put there", async () => {
  await using temp = await tempDir();
  {
    await using stage = await TemporaryStage.make(temp.path);
    await (await stage.layout()).putBytes("m", Buffer.from("blob"));
    expect(existsSync(stage.directory)).toBe(true);
  }
  expect(readdirSync(temp.path)).toEqual([]);
});

test("TemporaryStage.make() removes what processes that are dead have left, and nothing else", async () => {
  await using temp = await tempDir();
  await using living = await TemporaryStage.make(temp.path);
  const dead = `.sociable-stage-${(await ownProcess()).replace(/-\d+-/, "-1-")}.x`;
  for (const name of [dead, ".sociable-stage-notes", "mine"]) mkdirSync(join(temp.path, name));
  await using stage = await TemporaryStage.make(temp.path);
  const want = [living.directory, stage.directory].map((path) => basename(path));
  expect(readdirSync(temp.path).toSorted()).toEqual(
    [...want, ".sociable-stage-notes", "mine"].toSorted(),
  );
});

test.each(["/proc", "/nowhere/at/all"])("TemporaryStage.make() refuses %s", async (parent) => {
  expect(await rejectionOf(TemporaryStage.make(parent))).toMatchObject({
    kind: "failed-precondition",
  });
});
