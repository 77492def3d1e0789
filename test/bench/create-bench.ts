import { rm } from "node:fs/promises";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import type { Bench, BenchContext } from "./bench-context.ts";
import { type Comparison, compareSides } from "./compare-sides.ts";
import { startContainerd, whyNoContainerd } from "./containerd-peer.ts";
import { GUNZIP_AND_HASH, gunzipAndHash } from "./gunzip-and-hash.ts";
import { TAG, writeLayerLayout } from "./image-of-layers.ts";
import type { LayerFile } from "./layer-file.ts";
import { describeLayer } from "./layer-supply.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";
import { measureCommand } from "./run-command.ts";

const OURS = "create";
const CONVERT = "soci convert";
const CREATE = "soci create";

export const createBench: Bench = {
  name: "create",
  summary: "create of an image of one layer, against the Go soci tool",
  async *run(context) {
    const layer = await context.layers.real();
    await using dir = await tempDir();
    await using daemons = new AsyncDisposableStack();
    const layout = dir.join("layout");
    await writeLayerLayout(layout, [layer], context.signal);
    const { sides, notes } = await baselines(layer, { layout, dir, daemons, context });
    const measured = await runByTurns([ours(layout, dir, context), ...sides], {
      runs: context.runs,
      onSample: context.onSample,
    });
    const targets = new Map([
      [CREATE, { floor: 4, aim: 6 }],
      [CONVERT, { floor: 3, aim: 4 }],
    ]);
    yield {
      name: "create",
      title: this.summary,
      input: describeLayer(layer),
      sides: measured,
      figures: sides.flatMap(({ label }) => {
        const pair: Comparison = { ours: OURS, baseline: label };
        const target = targets.get(label);
        return [
          compareSides(measured, target === undefined ? pair : { ...pair, target }),
          compareSides(measured, { ...pair, by: "CPU" }),
        ];
      }),
      notes,
    };
  },
};

function ours(layout: string, dir: TempDir, { binary, signal }: BenchContext): Side {
  return {
    label: OURS,
    includes: "the built binary from an OCI layout into an empty local store",
    measure: async (run) => {
      const root = dir.join(`root-${run}`);
      const command = [binary, "create", `oci:${layout}:${TAG}`, "--root", root];
      const sample = await measureCommand(command, { signal });
      await rm(root, { recursive: true });
      return sample;
    },
  };
}

interface BaselineOptions {
  readonly layout: string;
  readonly dir: TempDir;
  /** Ends what was started. */
  readonly daemons: AsyncDisposableStack;
  readonly context: BenchContext;
}

async function baselines(
  layer: LayerFile,
  { layout, dir, daemons, context: { peer, signal } }: BaselineOptions,
): Promise<{ readonly sides: readonly Side[]; readonly notes: readonly string[] }> {
  if (peer === undefined) {
    const note = `the Go tool was not named (--peer): ${GUNZIP_AND_HASH} stands in for it`;
    return { sides: [gunzipAndHash(layer.path, signal)], notes: [note] };
  }
  const convert: Side = {
    label: CONVERT,
    includes: "Go, standalone, from an OCI layout to a new one, the layer copied into it",
    measure: async (run) => {
      const output = dir.join(`converted-${run}`);
      const convertCommand = ["convert", "--standalone", "--format", "oci-dir", layout, output];
      const command = [peer, "--root", dir.join("peer"), ...convertCommand];
      const sample = await measureCommand(command, { signal });
      await rm(output, { recursive: true });
      return sample;
    },
  };
  const reason = whyNoContainerd();
  if (reason !== undefined) return { sides: [convert], notes: [`no ${CREATE} here: ${reason}`] };
  const containerd = daemons.use(await startContainerd(dir.join("containerd"), layout, signal));
  const options = ["--address", containerd.address, "--root", dir.join("peer")];
  const command = [peer, ...options, "create", "--force", containerd.image];
  const create: Side = {
    label: CREATE,
    includes: "Go, from containerd's content store; containerd's own CPU time not counted",
    measure: () => measureCommand(command, { signal }),
  };
  return { sides: [convert, create], notes: [] };
}
