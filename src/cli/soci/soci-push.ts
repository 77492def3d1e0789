import { STATUS_CODES } from "node:http";
import { SociError } from "../../errors.ts";
import { createLogger, type Logger } from "../../observability/log.ts";
import { openRegistry } from "../../oci/open-image-source.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { parseReference } from "../../oci/reference.ts";
import { RegistrySource } from "../../oci/registry-source.ts";
import type { PlatformImage } from "../../oci/select-images.ts";
import { SOCI_INDEX_V1, SOCI_INDEX_V2 } from "../../soci/annotations.ts";
import type { Digest } from "../../oci/digest.ts";
import { DEFAULT_MAX_CONCURRENT_UPLOADS } from "../../soci/push.ts";
import type { OutputStream } from "../cli-io.ts";
import { IndexPusher } from "../commands/push-index.ts";
import { registryOptions } from "../registry-options.ts";
import { TerminalProgress } from "../terminal-progress.ts";
import { openContainerdImage, registryFlagsOf } from "./containerd-image.ts";
import type { GoFlagValues } from "./go-flags.ts";
import { sociPlatformsOf } from "./index-options.ts";
import { openPushStage } from "./push-stage.ts";
import { selectSociImages } from "./select-soci-images.ts";
import type { SociCommand } from "./soci-command.ts";
import type { SociContext } from "./soci-context.ts";
import { EXISTING_INDEX, PLATFORM_FLAGS, PUSH_FLAGS, REGISTRY_FLAGS } from "./soci-flags.ts";
import type { SociStore } from "./soci-store.ts";

const WARN_V2 =
  "[WARN] Skippping SOCI index manifest v2. You should push the whole image with higher level tools like finch or nerdctl.\n";
const MAX_INT64 = 2n ** 63n - 1n;

export const sociPush: SociCommand = {
  name: "push",
  usage: "push SOCI artifacts to a registry by image reference",
  arguments: "[flags] <ref>",
  flags: [...REGISTRY_FLAGS, ...PUSH_FLAGS, ...PLATFORM_FLAGS],
  async run(context, { flags, words: [image = ""] }) {
    if (image === "") {
      throw new SociError("invalid-argument", "please provide an image reference to push");
    }
    const { io, signal } = context;
    await context.connect();
    context.contentStore("cannot create local content store: ");
    const existingIndex = existingIndexOf(flags);
    const isQuiet = flags.bool("quiet");
    const store = await context.openStore();
    await using source = openContainerdImage(image, { space: context.space, context });
    await source.root({ signal });
    const platforms = sociPlatformsOf(flags);
    const images = await selectSociImages(source, {
      platforms,
      notFound: () => "not found",
      signal,
    });
    const uploads = await uploadsOf(flags, isQuiet ? undefined : io.stdout);
    const indexes: { readonly one: PlatformImage; readonly digest: Digest }[] = [];
    for (const one of images) {
      indexes.push({ one, digest: await newestIndex(one, { store, stdout: io.stdout }) });
    }
    await using target = await openTarget(image, { flags, context });
    await using staged = await openPushStage(store, { root: context.root, signal });
    using progress = new TerminalProgress(io.stderr);
    const pusher = new IndexPusher({
      source: target,
      store: staged.store,
      existingIndex,
      maxConcurrentUploads: uploads,
      stdout: isQuiet ? undefined : io.stdout,
      warnings: io.stdout,
      log: context.log,
      progress,
      signal,
    });
    for (const { one, digest } of indexes) {
      if (!(await pusher.isWanted(one))) continue;
      await staged.add(digest, { signal });
      await pusher.push(digest, one);
      if (isQuiet) await io.stdout.write(`${digest}\n`);
    }
  },
};

async function newestIndex(
  { descriptor, platform }: PlatformImage,
  { store, stdout }: { readonly store: SociStore; readonly stdout: OutputStream },
): Promise<Digest> {
  const indexes = store.artifacts.findIndexes(descriptor.digest);
  if (indexes.some(({ artifactType }) => artifactType === SOCI_INDEX_V2)) {
    await stdout.write(WARN_V2);
  }
  for (const { digest, artifactType } of indexes) {
    // containerd may have collected it.
    if (artifactType === SOCI_INDEX_V1 && (await store.blobSize(digest)) !== undefined) {
      return digest;
    }
  }
  throw new SociError(
    "not-found",
    `could not find any soci index manifest v1 to push for platform ${formatPlatform(platform)}`,
  );
}

async function openTarget(
  image: string,
  { flags, context }: { readonly flags: GoFlagValues; readonly context: SociContext },
): Promise<RegistrySource> {
  const { io, signal } = context;
  const reference = parseReference(image);
  const log = context.isDebug ? requestLog(io.stdout) : context.log;
  const options = await registryOptions(reference.registry, {
    flags: registryFlagsOf(flags),
    io,
    log,
    signal,
  });
  return new RegistrySource({ reference, client: await openRegistry(reference, options) });
}

/** With --debug, the Go tool prints each request and its answer. */
function requestLog(stdout: OutputStream): Logger {
  return createLogger({
    level: "debug",
    sink: ({ message, fields: { method, url, status } }) => {
      if (message !== "request") return;
      // In the order in which they are written; a reader that has gone is noticed by the next line of others.
      const text = STATUS_CODES[String(status)] ?? "";
      stdout
        .write(
          `http req ${String(method)} ${String(url)}\nhttp res ${`${String(status)} ${text}`.trimEnd()}\n`,
        )
        .catch(() => undefined);
    },
  });
}

function existingIndexOf(flags: GoFlagValues): string {
  const text = flags.text("existing-index");
  if (EXISTING_INDEX.some((known) => known === text)) return text;
  throw new SociError(
    "invalid-argument",
    `unexpected value for flag existing-index: ${text}, expected types [${EXISTING_INDEX.join(" ")}]`,
  );
}

/** 0 and what no signed number holds are the default; the pusher has its own limit. */
async function uploadsOf(flags: GoFlagValues, stdout: OutputStream | undefined): Promise<number> {
  const uploads = flags.integer("max-concurrent-uploads");
  if (uploads > MAX_INT64) {
    await stdout?.write(
      `warning: overflow for setting --max-concurrent-uploads=${uploads}; defaulting to ${DEFAULT_MAX_CONCURRENT_UPLOADS}`,
    );
    return DEFAULT_MAX_CONCURRENT_UPLOADS;
  }
  return uploads === 0n ? DEFAULT_MAX_CONCURRENT_UPLOADS : Number(uploads);
}
