// Makes dist/sociable, one executable for this platform.
// Usage: npm run build [-- --outfile FILE]
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { compile } from "./compile.ts";
import { BINARY, buildWasm } from "./project.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { outfile: { type: "string", default: BINARY } },
});
if ((await buildWasm()) !== 0) process.exit(1);
process.exit(await compile({ outfile: resolve(values.outfile) }));
