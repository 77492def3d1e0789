import { realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isErrno } from "../../oci/fs-errors.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { SociError } from "../../errors.ts";
import { mountImage } from "../../daemon/mount-image.ts";
import { DEFAULT_MIN_LAYER_SIZE } from "../../soci/layer-plan.ts";
import { formatByteSize } from "../byte-size.ts";
import type { CommandContext } from "../command-context.ts";
import { defineCommand } from "../command.ts";
import { CONTAINERD_FLAGS } from "../containerd-flags.ts";
import { announceReady, type DetachedRun, detachedRun, runDetached } from "../detach.ts";
import type { FlagSpecs, FlagValues } from "../flag-spec.ts";
import { IMAGE_ARG, openSource, PLATFORM_FLAG, registryOf } from "../image-flags.ts";
import { passwordEnvironment, REGISTRY_FLAGS } from "../registry-options.ts";
import { mayResend } from "../may-resend.ts";
import { explicitIndex, INDEX_FLAG } from "../view-image.ts";
import { type MountKeeper, openMountKeeper } from "./mount-keeper.ts";

const MOUNT_FLAGS = {
  detach: {
    type: "boolean",
    short: "d",
    description:
      "Serve the mount in the background; return when it can be used (with --wait: when all of it is local)",
  },
  fill: {
    type: "boolean",
    description: "Fetch the rest of the image in the background, behind what is being read",
  },
  wait: {
    type: "boolean",
    description: "Fetch all of the image, and say when it is here; implies --fill",
  },
  suid: { type: "boolean", description: "Let set-user-ID and set-group-ID bits count" },
  dev: { type: "boolean", description: "Let device files count" },
  "allow-other": {
    type: "boolean",
    description:
      "Let other users in; without root it takes user_allow_other in /etc/fuse.conf. Root's mounts are open to all anyway, by the modes of the files, unless --private",
  },
  private: { type: "boolean", description: "Let nobody else in, as root too" },
  "cache-size": {
    type: "bytes",
    valueName: "SIZE",
    min: 0,
    description:
      "Most that the cache may take on disk, for all images together. Default: a tenth of the file system, 20 GiB at most",
  },
  "read-timeout": {
    type: "duration",
    default: 300_000,
    valueName: "DURATION",
    description:
      "How long a read may wait for bytes that cannot be had before it fails; it can be interrupted at any time",
  },
  "takeover-timeout": {
    type: "duration",
    default: 120_000,
    valueName: "DURATION",
    description:
      "With --detach: how long the mount waits for a process to serve it when the last one was killed, before whoever uses it gets errors",
  },
  ...PLATFORM_FLAG,
  ...INDEX_FLAG,
  ...CONTAINERD_FLAGS,
  ...REGISTRY_FLAGS,
} as const satisfies FlagSpecs;

type MountContext = CommandContext<
  { readonly image: string; readonly dir: string },
  FlagValues<typeof MOUNT_FLAGS>
>;

export const mountCommand = defineCommand({
  name: "mount",
  summary: "Mount an image as a read-only directory, lazily",
  description:
    "Shows the image's files at once; what is read is fetched then, verified, and kept for the next time in the state directory. Works without root where fusermount3 is installed. Stays in the foreground until Ctrl-C, `sociable unmount DIR` or umount. With --detach it lives until it is unmounted: when the process that serves it is killed, a small one beside it starts the next, and whoever reads waits for that. Layers without a zTOC (an image that is not indexed, small layers, zstd) are downloaded whole first, which is said.",
  examples: [
    {
      command: "sociable mount registry.example.com/team/app:1.4 /mnt/app",
      explanation: "Look around in an image that nobody has pulled",
    },
    {
      command: "sociable mount --detach --fill localhost:5000/app /mnt/app",
      explanation: "In the background; the rest of the image comes behind what is read",
    },
    {
      command: "sociable mount --detach --wait oci-archive:app.tar /mnt/app",
      explanation: "Return when all of the image is local",
    },
  ],
  args: [
    IMAGE_ARG,
    { name: "dir", required: true, description: "Where to mount; a directory that exists" },
  ],
  flags: MOUNT_FLAGS,
  async run(context) {
    const { flags, io } = context;
    checkFlags(flags);
    const run = detachedRun(io);
    // Of a mount that nobody serves its directory cannot be asked.
    const place = resolve(io.cwd, context.args.dir);
    const directory = run?.keeper === undefined ? await mountPoint(place) : place;
    if (run !== undefined) await serveKept(context, directory, run);
    else if (flags.detach) await detach(context, directory);
    else await serve(context, directory);
  },
});

function checkFlags(flags: MountContext["flags"]): void {
  if (flags.private && flags["allow-other"]) {
    throw new SociError("invalid-argument", "Cannot use --allow-other with --private");
  }
}

async function detach(context: MountContext, directory: string): Promise<void> {
  const { args, flags, io, root, services, argv } = context;
  const registry = registryOf(args.image);
  if (services.selfCommand === undefined) throw new Error("there is no program to start");
  const pid = await runDetached({
    self: services.selfCommand,
    argv,
    logFile: join(root, "log", `mount-${Date.now()}-${process.pid}.log`),
    env: registry === undefined ? {} : await passwordEnvironment(flags, registry, io),
    io,
  });
  await io.stdout.write(`${directory} (process ${pid})\n`);
}

/** In the background, where the mount outlives this process. */
async function serveKept(
  context: MountContext,
  directory: string,
  run: DetachedRun,
): Promise<void> {
  const timeoutMs = context.flags["takeover-timeout"];
  const keeper = await openMountKeeper(context, { run, directory, timeoutMs });
  await using _link = keeper.link;
  if (!keeper.isOver) await serve(context, directory, keeper);
}

async function serve(
  context: MountContext,
  directory: string,
  keeper?: MountKeeper,
): Promise<void> {
  const { args, flags, io, log, root, signal, progress, services } = context;
  const { mountThreads } = services;
  if (mountThreads === undefined) throw new Error("there are no threads to mount with");
  await using source = await openSource(args.image, { flags, io, log, signal });
  await using mounted = await mountImage({
    source,
    directory,
    name: args.image,
    root,
    platform: flags.platform === undefined ? undefined : parsePlatform(flags.platform),
    index: flags.index === undefined ? undefined : await explicitIndex(flags.index, io.cwd),
    suid: flags.suid,
    dev: flags.dev,
    allowOther: flags["allow-other"] || (io.uid === 0 && !flags.private),
    capBytes: flags["cache-size"],
    readTimeoutMs: flags["read-timeout"],
    keeper: keeper?.link,
    taken: keeper?.taken,
    resends: mayResend(io.env),
    threads: mountThreads,
    log,
    signal,
    onStreamed: (layers, isIndexed) => {
      const bytes = layers.reduce((sum, { size }) => sum + size, 0);
      log.info("layers without a zTOC are downloaded whole", { layers: layers.length, bytes });
      // Indexes leave small layers out on purpose.
      if (!isIndexed || layers.some(({ size }) => size >= DEFAULT_MIN_LAYER_SIZE)) {
        io.stderr.write(textOf({ image: args.image, count: layers.length, bytes, isIndexed }));
      }
      const item = progress.item(args.image, { totalBytes: bytes });
      return { add: (count) => item.add(count), end: () => item.end() };
    },
  });
  const say = (what: string) => io.stderr.write(`${what}\n`);
  if (keeper === undefined) say(`Mounted ${args.image} on ${directory}. Ctrl-C ends it`);
  // Whoever waited for all of it has seen the end of that, or of the process that was to wait.
  if (flags.wait && keeper?.taken === undefined) {
    const item = progress.item(`${args.image} (all of it)`);
    let local = 0;
    await mounted.filled({
      onProgress: (bytes, totalBytes) => {
        item.setTotal(totalBytes);
        item.add(bytes - local);
        local = bytes;
      },
      signal,
    });
    item.end();
    if (keeper === undefined) say("All of the image is local");
  } else if (flags.fill || flags.wait) {
    mounted.fill.start();
  }
  // Until now whoever started this would see its end.
  await keeper?.link.connect();
  using _log = announceReady(io);
  await mounted.ended({ signal });
}

function textOf({
  image,
  count,
  bytes,
  isIndexed,
}: {
  readonly image: string;
  readonly count: number;
  readonly bytes: number;
  readonly isIndexed: boolean;
}): string {
  const size = `${count} ${count === 1 ? "layer" : "layers"}, ${formatByteSize(bytes)}`;
  return isIndexed
    ? `Downloading what the SOCI index leaves out: ${size}\n`
    : `No SOCI index of this image was found: downloading all of it, ${size}. To mount at once, run: sociable create ${image}\n`;
}

/** The directory without symlinks on the way. @throws not-found, invalid-argument */
async function mountPoint(path: string): Promise<string> {
  const what = `Cannot mount on ${JSON.stringify(path)}`;
  try {
    const found = await realpath(path);
    if ((await stat(found)).isDirectory()) return found;
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) {
      const hint = `Make it: mkdir -p ${path}`;
      throw new SociError("not-found", `${what}: there is no such directory`, { cause, hint });
    }
    if (isErrno(cause, "ENOTCONN")) {
      const hint = `Its process has died: sociable unmount ${path}`;
      throw new SociError("failed-precondition", `${what}: a dead mount is there`, { cause, hint });
    }
    throw new SociError("failed-precondition", what, { cause });
  }
  throw new SociError("invalid-argument", `${what}: it is no directory`);
}
