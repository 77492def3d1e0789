// Looks into a mount for a test, whose own process may have to answer the mount meanwhile. Its one
// argument is a ReaderOrder; its result is one line of JSON.
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { listDirectory } from "./compare-trees.ts";
import type { CompareOrder, ReaderOrder, ReaderReport } from "./mount-reader.ts";

const CHUNK = 1 << 20;
const MAX_RANDOM = 300_000;
const MOST_TOLD = 20;
const STALL_MS = 30;
const MOST_STALLS = 10_000;

const order = JSON.parse(process.argv[2] ?? "") as ReaderOrder; // of our own tests
let isStopped = false;
const result =
  order.task === "list"
    ? await Array.fromAsync(listDirectory(order.directory, order))
    : await compare(order);
await Bun.write(Bun.stdout, `${JSON.stringify(result)}\n`);
process.exit(0);

async function compare(order: CompareOrder): Promise<ReaderReport> {
  const { directory, reference, paths, reads, untilStopped = false, seed = 1 } = order;
  if (untilStopped) {
    void new Response(Bun.stdin.stream()).text().then(() => {
      isStopped = true;
    });
  }
  const report: Writable<ReaderReport> = {
    reads: 0,
    slowestMs: 0,
    stallsMs: [],
    wrong: [],
    errors: [],
  };
  const flags = order.isDirect === true ? constants.O_RDONLY | constants.O_DIRECT : "r";
  const pick = numbers(seed);
  const isRandom = untilStopped || reads !== undefined;
  const files = isRandom ? (reads ?? Number.POSITIVE_INFINITY) : paths.length;
  for (let i = 0; i < files && !isStopped; i++) {
    const path = paths[isRandom ? pick(paths.length) : i] ?? "";
    await using got = await open(join(directory, path), flags);
    await using want = await open(join(reference, path), "r");
    const { size } = await want.stat();
    if (isRandom) {
      const start = pick(size + 1);
      await compareRange({ got, want, path, start, length: 1 + pick(MAX_RANDOM) }, report);
      continue;
    }
    for (let start = 0; start <= size; start += CHUNK) {
      await compareRange({ got, want, path, start, length: CHUNK }, report);
    }
  }
  return report;
}

interface Range {
  readonly got: FileHandle;
  readonly want: FileHandle;
  readonly path: string;
  readonly start: number;
  readonly length: number;
}

async function compareRange(
  { got, want, path, start, length }: Range,
  report: Writable<ReaderReport>,
): Promise<void> {
  const expected = Buffer.alloc(length);
  const found = Buffer.alloc(length);
  const { bytesRead: count } = await want.read(expected, 0, length, start);
  const startedAt = performance.now();
  try {
    const { bytesRead } = await got.read(found, 0, length, start);
    report.reads += 1;
    const isRight =
      bytesRead === count && found.subarray(0, count).equals(expected.subarray(0, count));
    if (!isRight && report.wrong.length < MOST_TOLD) {
      report.wrong.push(`${path} from ${start}: ${bytesRead} bytes, want ${count}`);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (report.errors.length < MOST_TOLD) report.errors.push(`${code}: ${path} from ${start}`);
  }
  const ms = performance.now() - startedAt;
  report.slowestMs = Math.max(report.slowestMs, ms);
  if (ms >= STALL_MS && report.stallsMs.length < MOST_STALLS) report.stallsMs.push(Math.round(ms));
}

/** Numbers below a limit, the same for the same seed. */
function numbers(seed: number): (limit: number) => number {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 4) % limit;
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
