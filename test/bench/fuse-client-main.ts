// Uses a mounted bench tree once and says how long it took, as JSON. Usage: fuse-client-main.ts WORK DIRECTORY
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { BENCH_BIG_BYTES, BENCH_FILES } from "../support/fuse-trees.ts";
import { FUSE_WORKS, type FuseWork, RANDOM_READS } from "./fuse-work.ts";

const MiB = 1 << 20;
const PAGE = 4096;

const [, , name, directory = ""] = process.argv;
const work = FUSE_WORKS.find((one) => one === name);
if (work === undefined) throw new Error(`work is "${name}", want ${FUSE_WORKS.join(", ")}`);
const big = openSync(join(directory, "big"), "r");
const WORKS: Readonly<Record<FuseWork, () => void>> = {
  sequential: readAll,
  random: readAtRandom,
  stat: statEach,
};
// What is found once is not what is measured.
statSync(join(directory, "many"));
const started = performance.now();
WORKS[work]();
const wallSeconds = (performance.now() - started) / 1000;
closeSync(big);
process.stdout.write(JSON.stringify({ wallSeconds }));

function readAll(): void {
  const buffer = new Uint8Array(MiB);
  let total = 0;
  for (let count = 1; count > 0; total += count) {
    count = readSync(big, buffer, 0, MiB, null);
  }
  if (total !== BENCH_BIG_BYTES) throw new Error(`read ${total} bytes, want ${BENCH_BIG_BYTES}`);
}

/** Pages in an order of no pattern, none twice. */
function readAtRandom(): void {
  const pages = BENCH_BIG_BYTES / PAGE;
  const buffer = new Uint8Array(PAGE);
  for (let i = 0; i < RANDOM_READS; i++) {
    // Odd, and the number of pages a power of two: every page once.
    const page = (i * 1_234_567_891) % pages;
    if (readSync(big, buffer, 0, PAGE, page * PAGE) !== PAGE) throw new Error("short read");
  }
}

function statEach(): void {
  const prefix = join(directory, "many", "file-");
  for (let i = 0; i < BENCH_FILES; i++) statSync(`${prefix}${i}`);
}
