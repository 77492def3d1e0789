import { join } from "node:path";
import type { Bench } from "./bench-context.ts";
import { coldFiles } from "./cold-files.ts";
import { compareSides } from "./compare-sides.ts";
import { describeLayer } from "./layer-supply.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { blobAt, MountStage } from "./mount-stage.ts";
import { cpuSecondsOf, memoryOf, privateBytesOf } from "./process-figures.ts";
import { timeFiles } from "./reader-command.ts";
import { runByTurns } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";
import { medianOf } from "./statistics.ts";

const MiB = 1024 * 1024;
const MOST_RUNS = 3;
const FILE_BYTES = 20_000;
const FILES = 20;
/** What was needed for the reads alone is given back by then. */
const SETTLE_MS = 2000;
const OURS = "mount, then tar";
const UNPACKED = "curl, tar -xz, tar";
/** To a pipe: tar does not read what it would write to /dev/null. */
const TAR = 'tar -C "$0" -cf - . | cat >/dev/null';

export const mountTarBench: Bench = {
  name: "mount-tar-cold",
  summary: "tar c of all of an image that is not local, 50 ms a request, 1 Gbit/s",
  async *run(context) {
    const { runs, signal, onSample } = context;
    const layer = await context.layers.real();
    await using stage = await MountStage.open({ context, layers: [layer] });
    const files = coldFiles(await stage.ztocOf(layer), { size: FILE_BYTES, most: FILES });
    const url = blobAt(stage.line.host, layer);
    const cpuSeconds: number[] = [];
    const peaks: number[] = [];
    const afterwards: number[] = [];
    const mapped: number[] = [];
    const sides = await runByTurns(
      [
        {
          label: OURS,
          includes: "from the start of the process; CPU of tar and of the mount",
          measure: async () => {
            await using mount = await stage.mount();
            using watch = new MemoryWatch(mount.pid);
            const tar = await measureCommand(["sh", "-c", TAR, mount.directory], { signal });
            const wallSeconds = (performance.now() - mount.startedMs) / 1000;
            peaks.push(watch.peakBytes);
            const sample = { wallSeconds, cpuSeconds: tar.cpuSeconds + cpuSecondsOf(mount.pid) };
            await Bun.sleep(SETTLE_MS);
            const memory = memoryOf(mount.pid);
            afterwards.push(privateBytesOf(memory));
            mapped.push(memory.fileBytes);
            return sample;
          },
        },
        {
          label: "mount, then find, reads and tar",
          includes:
            "the same with a find and some reads of small files before; CPU of the mount alone",
          measure: async () => {
            await using mount = await stage.mount();
            await measureCommand(["find", mount.directory], { signal });
            const paths = files.map(({ path }) => join(mount.directory, path));
            await timeFiles(paths, { list: stage.dir.join("files"), signal });
            await measureCommand(["sh", "-c", TAR, mount.directory], { signal });
            const wallSeconds = (performance.now() - mount.startedMs) / 1000;
            const used = cpuSecondsOf(mount.pid);
            cpuSeconds.push(used);
            return { wallSeconds, cpuSeconds: used };
          },
        },
        {
          label: UNPACKED,
          includes: "download to a file, unpack it, tar",
          measure: async () => {
            const { root } = await stage.fresh();
            const script = `mkdir "$0" && curl --silent --output "$0/blob" "$1" && mkdir "$0/fs" && tar -xzf "$0/blob" -C "$0/fs" && ${TAR}`;
            return await measureCommand(["sh", "-c", script, root, url], { signal });
          },
        },
      ],
      { runs: Math.min(runs, MOST_RUNS), warmUp: false, onSample },
    );
    yield {
      name: this.name,
      title: this.summary,
      input: describeLayer(layer),
      sides,
      figures: [
        compareSides(sides, { ours: OURS, baseline: UNPACKED, target: { floor: 1, aim: 2 } }),
        {
          what: "CPU of find, reads and tar, median",
          value: medianOf(cpuSeconds),
          unit: "s",
          target: { floor: 10, aim: 5, isLimit: true },
        },
        {
          what: "memory after reading all, RssAnon + RssShmem, most",
          value: Math.max(...afterwards) / MiB,
          unit: "MiB",
          target: { floor: 90, aim: 65, isLimit: true },
        },
        { what: "… least", value: Math.min(...afterwards) / MiB, unit: "MiB" },
        {
          what: "… peak, most",
          value: Math.max(...peaks) / MiB,
          unit: "MiB",
          target: { floor: 110, aim: 65, isLimit: true },
        },
        {
          what: "RssFile beside it: code and tables",
          value: Math.max(...mapped) / MiB,
          unit: "MiB",
        },
      ],
    };
  },
};
