import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LatencyProxy } from "../support/latency-proxy.ts";
import type { Bench } from "./bench-context.ts";
import { coldFiles, largestFile } from "./cold-files.ts";
import { dropCaches } from "./drop-caches.ts";
import { describeLayer } from "./layer-supply.ts";
import { imageAt, MountStage } from "./mount-stage.ts";
import { cpuSecondsOf } from "./process-figures.ts";
import { readerCommand, timesOf } from "./reader-command.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { runCommand } from "./run-command.ts";
import { medianOf, percentileOf } from "./statistics.ts";

const READERS = 64;
const FILE_BYTES = 20_000;
const LARGE_BYTES = 110e6;
const SLOW_MS = 2500;
/** The readers' processes have started by then. */
const START_MS = 700;
const READ_MS = 1500;
const ALONE = "cached reads alone";
const WAITING = "… beside 64 readers that wait";
const ARRIVING = "… beside 64 readers being served";

export const mountCrowdBench: Bench = {
  name: "mount-crowd",
  summary: "random 4 KiB blocks that are local, beside 64 readers of what is not",
  async *run(context) {
    const { runs, signal, onSample } = context;
    const layer = await context.layers.real();
    await using stage = await MountStage.open({ context, layers: [layer] });
    const ztoc = await stage.ztocOf(layer);
    const large = largestFile(ztoc, { most: LARGE_BYTES });
    const cold = coldFiles(ztoc, { size: FILE_BYTES, most: Number.POSITIVE_INFINITY }).filter(
      ({ compressedEnd, compressedStart }) =>
        compressedEnd <= large.compressedStart || compressedStart >= large.compressedEnd,
    );
    await using slow = await LatencyProxy.start({ target: stage.registry.host, delayMs: SLOW_MS });
    const percentiles = new Map(
      [ALONE, WAITING, ARRIVING].map((label) => [
        label,
        { p50: [] as number[], p99: [] as number[] },
      ]),
    );
    const side = (label: string, includes: string, host: string, readers: number): Side => ({
      label,
      includes,
      measure: async () => {
        // The index comes fast; only reads are slow.
        const { root } = await stage.fresh();
        const near = { root, image: imageAt(stage.registry.host) };
        await using first = await stage.mount(near);
        await runCommand(
          ["sh", "-c", 'exec cat "$0" >/dev/null', join(first.directory, large.path)],
          { signal },
        );
        await first[Symbol.asyncDispose]();
        await using mount = await stage.mount({ root, image: imageAt(host) });
        const list = stage.dir.join("cold");
        const paths =
          readers === 0 ? [] : cold.map(({ path }) => `${join(mount.directory, path)}\n`);
        await writeFile(list, paths.join(""));
        await runCommand(["sync"], { signal });
        await dropCaches();
        const before = cpuSecondsOf(mount.pid);
        const crowd = Bun.spawn(
          [
            "xargs",
            "--arg-file",
            list,
            "--no-run-if-empty",
            "-P",
            String(READERS),
            "-n",
            "1",
            "cat",
          ],
          {
            stdio: ["ignore", "ignore", "ignore"],
          },
        );
        if (host === slow.host) await Bun.sleep(START_MS);
        const reader = Bun.spawn([...readerCommand("until", join(mount.directory, large.path))], {
          stdio: ["pipe", "pipe", "inherit"],
        });
        const told =
          host === slow.host
            ? Bun.sleep(READ_MS)
            : Promise.race([crowd.exited, Bun.sleep(2 * READ_MS)]);
        await (readers === 0 ? Bun.sleep(READ_MS) : told);
        await reader.stdin.end();
        const times = timesOf(await new Response(reader.stdout).bytes()).map((ms) => ms * 1000);
        await reader.exited;
        crowd.kill("SIGKILL");
        await crowd.exited;
        percentiles.get(label)?.p50.push(percentileOf(times, 0.5));
        percentiles.get(label)?.p99.push(percentileOf(times, 0.99));
        return {
          wallSeconds: times.reduce((sum, time) => sum + time, 0) / 1e6,
          cpuSeconds: cpuSecondsOf(mount.pid) - before,
        };
      },
    });
    const sides = await runByTurns(
      [
        side(ALONE, "page cache dropped before", stage.line.host, 0),
        side(WAITING, `the registry answers each request after ${SLOW_MS} ms`, slow.host, READERS),
        side(
          ARRIVING,
          "50 ms a request and 1 Gbit/s; registry, line, inflating and readers share the cores",
          stage.line.host,
          READERS,
        ),
      ],
      { runs, warmUp: false, onSample },
    );
    const of = (label: string, which: "p50" | "p99"): number =>
      medianOf(percentiles.get(label)?.[which] ?? []);
    yield {
      name: this.name,
      title: this.summary,
      notes: ["the sum of the reads as wall time; CPU of the mount"],
      input: `${describeLayer(layer)}; ${cold.length} cold files`,
      sides,
      figures: [
        {
          what: "p99 beside readers that wait, against alone",
          value: of(WAITING, "p99") / of(ALONE, "p99"),
          unit: "x",
          target: { floor: 1.2, aim: 1.05, isLimit: true },
        },
        ...[ALONE, WAITING, ARRIVING].flatMap((label) => [
          { what: `${label}: p50`, value: of(label, "p50"), unit: "µs" as const },
          { what: `${label}: p99`, value: of(label, "p99"), unit: "µs" as const },
        ]),
      ],
    };
  },
};
