import type { ContainerdNamespace } from "../containerd/containerd-client.ts";
import { SociError } from "../errors.ts";
import type { LocalManifests } from "../image/preparing-source.ts";
import type { Logger } from "../observability/log.ts";

/** Manifests that are larger are left to the registry. */
const MAX_BYTES = 4 << 20;

/** A pull writes the manifest before it asks for snapshots: in containerd it costs no round trip. */
export function manifestsIn({ content }: ContainerdNamespace, log: Logger): LocalManifests {
  return async (digest, { signal }) => {
    try {
      const info = await content.info(digest, { signal });
      if (info === undefined || info.size > MAX_BYTES) return undefined;
      const chunks: Uint8Array[] = [];
      for await (const chunk of content.read({ digest, size: info.size }, { signal })) {
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof SociError)) throw error;
      // It may not run yet, or listen elsewhere; the registry has it, too.
      log.debug("manifest is not read from containerd", { digest, error });
      return undefined;
    }
  };
}
