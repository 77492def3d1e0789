import { readFile } from "node:fs/promises";
import { release } from "node:os";
import { resolve } from "node:path";
import type { WaitOptions } from "../../async/wait-options.ts";
import { DaemonClient } from "../../daemon/daemon-api.ts";
import { SociError } from "../../errors.ts";
import { type Check, fail, ok, warn } from "../../install/checks/check.ts";
import { containerdChecks } from "../../install/checks/containerd-checks.ts";
import {
  clockCheck,
  diskCheck,
  diskFacts,
  fileSystemCheck,
  fuseDeviceCheck,
  kernelCheck,
  programMadeMs,
  sharedMemoryCheck,
} from "../../install/checks/host-checks.ts";
import { configCheck, socketCheck, systemdChecks } from "../../install/checks/service-checks.ts";
import { isClockSynchronized } from "../../install/checks/is-clock-synchronized.ts";
import { hostPlatform, parsePlatform } from "../../oci/platform.ts";
import { resolveImage } from "../../oci/resolve-image.ts";
import { discoverSociIndex } from "../../soci/discover.ts";
import type { CommandContext } from "../command-context.ts";
import { defineCommand } from "../command.ts";
import { DEFAULT_CONFIG_FILES } from "../config-file.ts";
import { openSource, PLATFORM_FLAG } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS, type RegistryFlagValues } from "../registry-options.ts";
import { safeText } from "../safe-text.ts";

const DAEMON_TIMEOUT_MS = 5000;

export const doctorCommand = defineCommand({
  name: "doctor",
  summary: "Check what this host needs, and tell what to do",
  description:
    "Looks at the kernel, FUSE, the disk, the clock, containerd, the service and its configuration, and, when an image is named, at the way to its registry. Nothing is changed. The exit code is 1 when something does not work.",
  examples: [
    { command: "sociable doctor", explanation: "A line for each check, and what to do" },
    {
      command: "sociable doctor registry.example.com/team/app:1.4",
      explanation: "Also whether this image can be had, and read in pieces",
    },
    { command: "sociable doctor --json", explanation: "For scripts" },
  ],
  args: [
    {
      name: "image",
      required: false,
      description: "An image in a registry that has to be reached",
    },
  ],
  flags: {
    ...PLATFORM_FLAG,
    address: {
      type: "string",
      short: "a",
      default: "/run/sociable/sociable.sock",
      valueName: "SOCKET",
      description: "Where the service listens",
    },
    "containerd-address": {
      type: "string",
      default: "/run/containerd/containerd.sock",
      valueName: "SOCKET",
      description: "Where containerd listens",
    },
    "snapshotter-name": {
      type: "string",
      valueName: "NAME",
      default: "sociable",
      description: "What containerd calls the service",
    },
    json: {
      type: "boolean",
      description: "Print a JSON array of objects: name, status, detail, hint",
    },
    ...REGISTRY_FLAGS,
  },
  async run(context) {
    const { args, flags, io, root, signal } = context;
    const socket = resolve(io.cwd, flags.address.replace(/^unix:\/\//, ""));
    const checks = [
      ...(await hostChecks(root)),
      ...(await containerdChecks({
        address: resolve(io.cwd, flags["containerd-address"].replace(/^unix:\/\//, "")),
        name: flags["snapshotter-name"],
        signal,
      })),
      configCheck(DEFAULT_CONFIG_FILES.sociable),
      ...(await systemdChecks()),
      ...(await serviceChecks(socket, { signal })),
      ...(args.image === undefined ? [] : await imageChecks(args.image, context)),
    ];
    if (flags.json) await writeJson(io.stdout, checks);
    else await io.stdout.write(formatChecks(checks));
    const failed = checks.filter(({ status }) => status === "fail").length;
    if (failed > 0) {
      throw new SociError(
        "failed-precondition",
        `Cannot serve this host: ${failed} of ${checks.length} checks failed`,
      );
    }
  },
});

async function hostChecks(root: string): Promise<readonly Check[]> {
  const filesystems = await readFile("/proc/filesystems", "utf8");
  return [
    kernelCheck(release()),
    fileSystemCheck("fuse", filesystems),
    fuseDeviceCheck(),
    fileSystemCheck("overlay", filesystems),
    diskCheck(root, diskFacts(root)),
    sharedMemoryCheck(),
    clockCheck({
      nowMs: Date.now(),
      madeMs: programMadeMs(process.execPath),
      isSynchronized: await isClockSynchronized(),
    }),
  ];
}

async function serviceChecks(path: string, { signal }: WaitOptions): Promise<readonly Check[]> {
  const socket = await socketCheck(path);
  if (socket.status === "fail") return [socket];
  using client = new DaemonClient(path);
  const late = AbortSignal.timeout(DAEMON_TIMEOUT_MS);
  try {
    await client.explain([], {
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return [socket, ok("service answers", path)];
  } catch (error) {
    signal?.throwIfAborted();
    const text = late.aborted ? "it does not answer" : messageOf(error);
    return [socket, fail("service answers", text, "See why: journalctl -u sociable -n 50")];
  }
}

type ImageContext = Pick<CommandContext<unknown, unknown>, "io" | "log" | "signal"> & {
  readonly flags: RegistryFlagValues & { readonly platform: string | undefined };
};

/** The image's manifest, a piece of its largest layer, its index. */
async function imageChecks(name: string, context: ImageContext): Promise<readonly Check[]> {
  const { flags, signal } = context;
  const checks: Check[] = [];
  try {
    await using source = await openSource(name, context);
    const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const { descriptor, manifest } = await resolveImage(source, { platform, signal });
    checks.push(ok("registry", `${name} is there: ${descriptor.digest}`));
    const layer = manifest.layers.toSorted((a, b) => b.size - a.size)[0];
    if (layer !== undefined && layer.size > 1) {
      let isPartial: boolean | undefined;
      const range = source.blobRange(layer, {
        start: layer.size - 1,
        end: layer.size,
        signal,
        onOpen: (opened) => {
          isPartial = opened.isPartial;
        },
      });
      for await (const _ of range);
      checks.push(
        isPartial === false
          ? warn(
              "ranges",
              "the registry sends whole layers where a piece was asked for",
              "Ask it directly, without the proxy or mirror between: see hosts.toml",
            )
          : ok("ranges", "layers can be read in pieces"),
      );
    }
    const { annotations } = manifest;
    const { found } = await discoverSociIndex({
      source,
      imageManifest: descriptor,
      annotations,
      signal,
    });
    checks.push(
      found === undefined
        ? warn("index", "the image has no SOCI index", `Make one: sociable create --push ${name}`)
        : ok("index", found.descriptor.digest),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SociError)) throw error;
    checks.push(fail("registry", error.message, error.hint ?? hintOf(error)));
  }
  return checks;
}

function hintOf({ kind }: SociError): string {
  if (kind === "unauthenticated" || kind === "permission-denied") {
    return "Log in: docker login, or give --user";
  }
  if (kind === "not-found") return "Look at the name, the tag and the platform";
  return "Look at the network, proxies (HTTPS_PROXY) and certificates (--tlscacert, --hosts-dir)";
}

function formatChecks(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, status, detail, hint }) => [
    `${status.padEnd(4)}  ${name.padEnd(width)}  ${safeText(detail)}`,
    ...(hint === undefined ? [] : [`${" ".repeat(6 + width)}  -> ${safeText(hint)}`]),
  ]);
  return lines.map((line) => `${line}\n`).join("");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
