// A program that is keeper when it is told to be, and otherwise a server that dies as soon as it serves.
// Usage: keeper --root DIR --timeout MSms --name NAME --cwd DIR -- DIR NAME   |   DIR NAME
import { parseArgs } from "node:util";
import { KeeperClient } from "../../src/keeper/keeper-client.ts";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { runKeeper } from "../../src/keeper/run-keeper.ts";
import { createLogger } from "../../src/observability/log.ts";

const string = { type: "string" } as const;
const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { root: string, timeout: string, name: string, cwd: string },
});

if (positionals[0] === "keeper") {
  await runKeeper({
    root: values.root ?? "",
    name: values.name,
    timeoutMs: Number.parseInt(values.timeout ?? "", 10),
    revival: {
      command: [process.execPath, import.meta.path, ...positionals.slice(1)],
      cwd: values.cwd ?? "/",
      env: process.env,
    },
    log: createLogger({ sink: ({ message }) => process.stderr.write(`${message}\n`) }),
  });
} else {
  const [root = "", name] = positionals;
  const client = new KeeperClient(keeperPaths(root, name).socket);
  await client.lease(2000);
  process.exit(1);
}
