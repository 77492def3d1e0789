// Measures what the project promises, each row beside a baseline in the same run; never a pass or fail.
// Usage: npm run bench [-- --only NAME ...] [--runs N] [--layer FILE.tar.gz] [--binary SOCIABLE] [--peer GO-SOCI]
//   [--images DIR] [--json FILE]
import { copyFile, stat, writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "../test/bench/bench-context.ts";
import { catBench } from "../test/bench/cat-bench.ts";
import { convertBench } from "../test/bench/convert-bench.ts";
import { coresBench } from "../test/bench/cores-bench.ts";
import { createBench } from "../test/bench/create-bench.ts";
import { createPushBench } from "../test/bench/create-push-bench.ts";
import { engineBench } from "../test/bench/engine-bench.ts";
import { formatRow } from "../test/bench/format-row.ts";
import { fuseBench } from "../test/bench/fuse-bench.ts";
import { gzipBench } from "../test/bench/gzip-bench.ts";
import { LayerSupply } from "../test/bench/layer-supply.ts";
import { describeMachine } from "../test/bench/machine.ts";
import { memoryBench } from "../test/bench/memory-bench.ts";
import type { RowReport } from "../test/bench/row-report.ts";
import { mountAgainBench } from "../test/bench/mount-again-bench.ts";
import { mountColdBench } from "../test/bench/mount-cold-bench.ts";
import { mountCrowdBench } from "../test/bench/mount-crowd-bench.ts";
import { mountStartBench } from "../test/bench/mount-start-bench.ts";
import { mountTarBench } from "../test/bench/mount-tar-bench.ts";
import { mountWarmBench } from "../test/bench/mount-warm-bench.ts";
import { pushBench } from "../test/bench/push-bench.ts";
import { serveAgainBench } from "../test/bench/serve-again-bench.ts";
import { serveCrowdBench } from "../test/bench/serve-crowd-bench.ts";
import { serveMemoryBench } from "../test/bench/serve-memory-bench.ts";
import { servePrepareBench } from "../test/bench/serve-prepare-bench.ts";
import { servePullBench } from "../test/bench/serve-pull-bench.ts";
import {
  serveNumpyBench,
  servePandasBench,
  serveTrueBench,
} from "../test/bench/serve-run-bench.ts";
import { transferBench } from "../test/bench/transfer-bench.ts";
import { ztocBench } from "../test/bench/ztoc-bench.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { ensurePackages } from "./debian-packages.ts";
import { BINARY, buildWasm, outputOf, PROJECT_ROOT, projectPath, run } from "./project.ts";

/** In the order in which they run. */
const BENCHES: readonly Bench[] = [
  engineBench,
  gzipBench,
  ztocBench,
  memoryBench,
  createBench,
  coresBench,
  catBench,
  transferBench,
  createPushBench,
  pushBench,
  convertBench,
  mountStartBench,
  mountAgainBench,
  mountColdBench,
  mountWarmBench,
  mountTarBench,
  mountCrowdBench,
  fuseBench,
  servePullBench,
  serveNumpyBench,
  servePandasBench,
  serveTrueBench,
  serveAgainBench,
  servePrepareBench,
  serveMemoryBench,
  serveCrowdBench,
];
const PACKAGES = [
  { name: "libdeflate-tools", program: "libdeflate-gzip" },
  { name: "time", program: "time" },
  { name: "curl", program: "curl" },
  { name: "skopeo", program: "skopeo" },
];
const DEFAULT_RUNS = "5";
const INTERRUPTED = 130;

const options = parseOptions();
const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
}
const { signal } = interrupted;
process.exit(await main());

async function main(): Promise<number> {
  try {
    await ensurePackages(PACKAGES);
    if (options.binary === BINARY) await buildIfStale();
    return await measure();
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    return signal.aborted ? INTERRUPTED : 1;
  }
}

async function measure(): Promise<number> {
  await using dir = await tempDir();
  // Called by its own name: the name decides which program it is.
  const binary = dir.join(basename(BINARY));
  await copyFile(options.binary, binary);
  const context = {
    runs: options.runs,
    signal,
    binary,
    peer: options.peer,
    images: options.images,
    layers: new LayerSupply({ directory: dir.path, real: options.layer, signal, onWork: say }),
    onSample: (label: string, { wallSeconds }: { readonly wallSeconds: number }) =>
      say(`${label}: ${wallSeconds.toFixed(3)} s`),
  };
  const machine = describeMachine();
  const version = (await outputOf([binary, "--version"])) ?? "unknown";
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, Linux ${machine.kernel}, Bun ${machine.bun}, load ${machine.load.toFixed(2)}\n${version}; ${options.runs} runs of each side by turns, after one to warm up\n`,
  );
  const rows: RowReport[] = [];
  const failures: { readonly name: string; readonly reason: string }[] = [];
  for (const bench of options.benches) {
    say(`-- ${bench.name}: ${bench.summary}`);
    try {
      for await (const row of bench.run(context)) {
        rows.push(row);
        console.log(formatRow(row));
      }
    } catch (error) {
      signal.throwIfAborted();
      // The other rows are worth having.
      const reason = error instanceof Error ? error.message : String(error);
      failures.push({ name: bench.name, reason });
      console.log(`== ${bench.name}: not measured\n   ${reason}\n`);
    }
  }
  if (options.json !== undefined) {
    const date = new Date().toISOString();
    const report = { date, machine, version, runs: options.runs, rows, failures };
    await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return failures.length === 0 ? 0 : 1;
}

function parseOptions() {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      only: { type: "string", multiple: true, default: [] },
      runs: { type: "string", default: DEFAULT_RUNS },
      layer: { type: "string" },
      binary: { type: "string" },
      peer: { type: "string" },
      images: { type: "string" },
      json: { type: "string" },
    },
  });
  const names = values.only.flatMap((text) => text.split(","));
  const unknown = names.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    usageError(`--only is "${unknown}", want ${BENCHES.map(({ name }) => name).join(", ")}`);
  }
  if (!/^[1-9]\d{0,3}$/.test(values.runs)) {
    usageError(`--runs is "${values.runs}", want a number from 1 to 9999`);
  }
  const pathOf = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(path);
  return {
    benches: BENCHES.filter(({ name }) => names.length === 0 || names.includes(name)),
    runs: Number(values.runs),
    layer: pathOf(values.layer),
    binary: pathOf(values.binary) ?? BINARY,
    peer: pathOf(values.peer),
    images: pathOf(values.images),
    json: pathOf(values.json),
  };
}

function usageError(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(2);
}

async function buildIfStale(): Promise<void> {
  if ((await buildWasm()) !== 0) throw new Error("the WebAssembly could not be built");
  if (!(await isStale())) return;
  say("building dist/sociable");
  if ((await run([process.execPath, projectPath("scripts/build.ts")])) !== 0) {
    throw new Error("dist/sociable could not be built");
  }
}

async function isStale(): Promise<boolean> {
  const built = await stat(BINARY).catch(() => undefined);
  if (built === undefined) return true;
  for await (const path of new Bun.Glob("src/**/*").scan({ cwd: PROJECT_ROOT, absolute: true })) {
    if ((await stat(path)).mtimeMs > built.mtimeMs) return true;
  }
  return false;
}

function say(what: string): void {
  console.error(what);
}
