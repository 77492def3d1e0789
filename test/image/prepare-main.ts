// Prepares the image argv[3] below the state root argv[2] in a process of its own; prints how its layers came.
import { prepare } from "./prepared-image.ts";

const [, , root = "", name = ""] = process.argv;
const startMs = performance.now();
const prepared = await prepare(root, name);
const ms = performance.now() - startMs;
const from = prepared.layers.map((layer) => layer.from);
const isWhole = prepared.layers.every(({ layer }) => layer.isComplete);
await prepared[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify({ from, isWhole, ms: Math.round(ms) }));
process.exit(0);
