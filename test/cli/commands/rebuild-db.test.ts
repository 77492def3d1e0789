import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { rebuildDbCommand } from "../../../src/cli/commands/rebuild-db.ts";
import { LOCAL_STORE_DATABASE } from "../../../src/soci/local-store.ts";
import { buildImage } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";

const image = await buildImage({
  layers: [{ entries: [{ name: "a", content: sampleBytes(100_000, 1) }] }],
});
const registry = withCommands([rebuildDbCommand]);

test("sociable rebuild-db lists again what a lost or damaged database listed", async () => {
  await using cli = await cliImage(image);
  await cli.run(["create", "--min-layer-size", "0", "--prefetch-file", "a", cli.name]);
  const [before] = JSON.parse((await cli.run(["index", "list", "--json"])).stdout);
  const { createdAt: _when, ...index } = before;
  const database = cli.temp.join("root", LOCAL_STORE_DATABASE);
  for (const damage of [rmSync, (path: string) => writeFileSync(path, "x".repeat(9000))]) {
    for (const ending of ["-wal", "-shm"]) rmSync(`${database}${ending}`, { force: true });
    damage(database);
    expect(await cli.run(["rebuild-db"], { registry })).toMatchObject({ code: 0, stdout: "" });
    expect(JSON.parse((await cli.run(["index", "list", "--json"])).stdout)).toMatchObject([index]);
  }
  expect(await cli.run(["push", "-q", cli.name])).toMatchObject({ stdout: `${index.digest}\n` });
});

test("sociable rebuild-db prints what it did with --json", async () => {
  await using cli = await cliImage(image);
  await cli.run(["create", "--min-layer-size", "0", cli.name]);
  const { stdout } = await cli.run(["rebuild-db", "--json"], { registry });
  expect(JSON.parse(stdout)).toEqual({ added: [], removed: [], damaged: [], unknown: [] });
});
