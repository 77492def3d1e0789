import { resolve } from "node:path";
import type { WaitOptions } from "../../async/wait-options.ts";
import { DaemonClient } from "../../daemon/daemon-api.ts";
import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../../oci/platform.ts";
import { resolveImage } from "../../oci/resolve-image.ts";
import { discoverSociIndex } from "../../soci/discover.ts";
import { DEFAULT_SOCKET } from "../daemon-socket.ts";
import { defineCommand } from "../command.ts";
import { IMAGE_ARG, openSource, openStoreIfThere, PLATFORM_FLAG } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { explicitIndex, INDEX_FLAG } from "../view-image.ts";
import { explainLayers } from "./explain-layers.ts";
import { type DaemonView, formatExplanation, jsonOfExplanation } from "./explain-report.ts";

/** A daemon that has not answered by then is stuck. */
const DAEMON_TIMEOUT_MS = 5000;

export const explainCommand = defineCommand({
  name: "explain",
  summary: "Tell which layers of an image start lazily, and why not",
  description:
    "Looks for the image's SOCI index where `sociable serve` does and checks the zTOC of each layer, fetching nothing of the layers; asks the daemon on this host what it has of them: how much is local, how many mounts show it, why it was left to containerd. A daemon that does not run is no failure.",
  examples: [
    {
      command: "sociable explain registry.example.com/team/app:1.4",
      explanation: "A line for each layer, and one for the image",
    },
    {
      command: "sociable explain --no-daemon --json oci:./app",
      explanation: "For scripts, of the image alone",
    },
  ],
  args: [IMAGE_ARG],
  flags: {
    ...PLATFORM_FLAG,
    ...INDEX_FLAG,
    address: {
      type: "string",
      short: "a",
      default: DEFAULT_SOCKET,
      valueName: "SOCKET",
      description: "Where the daemon listens",
    },
    "no-daemon": { type: "boolean", description: "Look at the image alone" },
    json: {
      type: "boolean",
      description:
        "Print a JSON object: image, manifest, platform, index, misses, daemon, layers, summary",
    },
    ...REGISTRY_FLAGS,
  },
  async run(context) {
    const { args, flags, io, log, root, signal } = context;
    await using source = await openSource(args.image, { flags, io, log, signal });
    await using resources = new AsyncDisposableStack();
    const store = await openStoreIfThere(root, signal);
    if (store !== undefined) resources.use(store);
    const wanted = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const image = await resolveImage(source, { platform: wanted, signal });
    const { descriptor, manifest, platform } = image;
    const digests = manifest.layers.map(({ digest }) => digest);
    const address = resolve(io.cwd, flags.address.replace(/^unix:\/\//, ""));
    const asking = flags["no-daemon"] ? undefined : askDaemon(address, digests, { signal });
    // When it fails before it is waited for.
    asking?.catch(() => undefined);
    const discovery = await discoverSociIndex({
      source,
      imageManifest: descriptor,
      annotations: manifest.annotations,
      explicit: flags.index === undefined ? undefined : await explicitIndex(flags.index, io.cwd),
      store,
      signal,
    });
    const index = discovery.found?.index;
    const explanation = {
      image: args.image,
      manifest: descriptor.digest,
      platform: platform === undefined ? "" : formatPlatform(platform),
      discovery,
      layers: await explainLayers(manifest.layers, {
        source,
        index,
        store,
        ownZtocs: true,
        signal,
      }),
      daemon: await asking,
    };
    if (flags.json) await writeJson(io.stdout, jsonOfExplanation(explanation));
    else await io.stdout.write(formatExplanation(explanation));
  },
});

async function askDaemon(
  address: string,
  layers: readonly Digest[],
  { signal }: WaitOptions,
): Promise<DaemonView> {
  using client = new DaemonClient(address);
  const late = AbortSignal.timeout(DAEMON_TIMEOUT_MS);
  try {
    const reports = await client.explain([...new Set(layers)], {
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return { address, reports: new Map(reports.map((report) => [report.digest, report])) };
  } catch (error) {
    signal?.throwIfAborted();
    const isLate = late.aborted && error === late.reason;
    if (isLate) return { address, failure: `the daemon at ${address} does not answer` };
    if (!(error instanceof SociError)) throw error;
    const failure =
      error.kind === "unavailable" ? `no daemon answers at ${address}` : error.message;
    return { address, failure };
  }
}
