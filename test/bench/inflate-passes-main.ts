// Inflates a gzip file, held in memory, several times and prints what each pass took.
// Usage: bun inflate-passes-main.ts wasm|pako-engine|pako FILE PASSES
import { readFileSync } from "node:fs";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { inflateAll, pakoInflateAll } from "./inflate-all.ts";

const [kind, path = "", passes = ""] = process.argv.slice(2);
const file = readFileSync(path);

function inflateOnce(): () => number {
  switch (kind) {
    case "wasm": {
      const engine = new WasmEngine();
      return () => inflateAll(engine, file);
    }
    case "pako-engine": {
      const engine = new PakoEngine();
      return () => inflateAll(engine, file);
    }
    case "pako":
      return () => pakoInflateAll(file);
    default:
      throw new Error(`Cannot inflate with "${kind}": want wasm, pako-engine or pako`);
  }
}

const inflate = inflateOnce();
const outputBytes = inflate();
const samples = Array.from({ length: Number(passes) }, () => {
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  const got = inflate();
  const { user, system } = process.cpuUsage(cpu);
  if (got !== outputBytes) throw new Error(`Cannot compare: ${got} bytes, want ${outputBytes}`);
  return {
    wallSeconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
});
process.stdout.write(JSON.stringify({ outputBytes, samples }));
