// Reads files and prints how long each read took, as JSON: an array of milliseconds.
// Usage: bun read-files-main.ts files LIST: each file whole, in that order; LIST has a path a line
//        bun read-files-main.ts random FILE COUNT: blocks of 4 KiB at places that follow no order, each once
//        bun read-files-main.ts until FILE: such blocks until standard input ends, or each has been read
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";

const BLOCK = 4096;
const WARM_UP = 2000;
/** Reads between two pauses, so few that not all of a file is read before the end. */
const TURN = 4;
const PAUSE_MS = 1;
/** Prime, and so far from every multiple that neighbours in time are no neighbours in the file. */
const STEP = 7_368_787;
const CHUNK = new Uint8Array(256 * 1024);

const [what, path = "", count = "0"] = process.argv.slice(2);
// The compiler's turn comes before the first figure.
readBlocks(process.execPath, WARM_UP);
for (let i = 0; i < WARM_UP; i++) readWhole("/proc/self/statm");
process.stdout.write(JSON.stringify(await run()));

async function run(): Promise<readonly number[]> {
  switch (what) {
    case "files":
      return readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map(readWhole);
    case "random":
      return readBlocks(path, Number(count));
    case "until":
      return await readUntilTold(path);
    default:
      throw new Error(`want files, random or until, not "${what}"`);
  }
}

function readWhole(file: string): number {
  const started = performance.now();
  const fd = openSync(file, "r");
  while (readSync(fd, CHUNK) > 0);
  closeSync(fd);
  return performance.now() - started;
}

function readBlocks(file: string, blocks: number): readonly number[] {
  const fd = openSync(file, "r");
  const read = blockReader(fd);
  const times = Array.from({ length: blocks }, read);
  closeSync(fd);
  return times;
}

async function readUntilTold(file: string): Promise<readonly number[]> {
  const fd = openSync(file, "r");
  const read = blockReader(fd);
  const blocks = Math.floor(fstatSync(fd).size / BLOCK);
  const times: number[] = [];
  let isTold = false;
  const told = Bun.stdin.text().then(() => (isTold = true));
  while (!isTold && times.length < blocks) {
    times.push(read());
    if (times.length % TURN === 0) await Bun.sleep(PAUSE_MS);
  }
  await told;
  closeSync(fd);
  return times;
}

function blockReader(fd: number): () => number {
  const blocks = Math.floor(fstatSync(fd).size / BLOCK);
  const into = CHUNK.subarray(0, BLOCK);
  let at = 0;
  return () => {
    at = (at + STEP) % blocks;
    const started = performance.now();
    readSync(fd, into, 0, BLOCK, at * BLOCK);
    return performance.now() - started;
  };
}
