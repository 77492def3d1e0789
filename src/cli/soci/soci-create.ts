import { SociError } from "../../errors.ts";
import { createIndex } from "../../soci/create-index.ts";
import { openZtocFactory } from "../open-ztoc-factory.ts";
import { TerminalProgress } from "../terminal-progress.ts";
import { layerLine } from "../commands/layer-report.ts";
import { openContainerdImage } from "./containerd-image.ts";
import { indexOptionsOf, sociPlatformsOf } from "./index-options.ts";
import { selectSociImages } from "./select-soci-images.ts";
import type { SociCommand } from "./soci-command.ts";
import { PLATFORM_FLAGS, PREFETCH_FLAGS, ZTOC_FLAGS } from "./soci-flags.ts";
import { sayPrefetch } from "./soci-prefetch-files.ts";

export const sociCreate: SociCommand = {
  name: "create",
  usage: "create SOCI index",
  arguments: "[flags] <image_ref>",
  flags: [...PLATFORM_FLAGS, ...ZTOC_FLAGS, ...PREFETCH_FLAGS],
  async run(context, { flags, words: [image = ""] }) {
    if (image === "") {
      throw new SociError("invalid-argument", "source image needs to be specified");
    }
    const { io, log, services, signal } = context;
    const options = await indexOptionsOf(flags, io.cwd);
    await context.connect();
    context.contentStore();
    const platforms = sociPlatformsOf(flags);
    const { store, space } = await context.openStoreForWork("create");
    await using source = openContainerdImage(image, { space, context });
    await source.root({ signal });
    const images = await selectSociImages(source, { platforms, signal });
    using progress = new TerminalProgress(io.stderr);
    using factory = openZtocFactory(services, context.root);
    for (const one of images) {
      const lines: Promise<void>[] = [];
      const created = await createIndex(one, {
        ...options,
        source,
        sink: store,
        buildZtoc: factory.build,
        parallel: factory.parallel,
        signal,
        onLayer: (outcome) => {
          const line = layerLine(outcome);
          if (line === "") return;
          progress.aboutToWrite(line);
          lines.push(io.stdout.write(`${line}\n`));
        },
        onRead: ({ digest, size }) => progress.item(digest, { totalBytes: size }),
      });
      await Promise.all(lines);
      await sayPrefetch(created, { stdout: io.stdout, log });
    }
  },
};
