import type { ContainerdNamespace } from "./containerd-client.ts";
import type { BlobName, WriteContentOptions } from "./content-client.ts";

export interface WriteLeasedOptions extends WriteContentOptions {
  /** The blob's bytes, from their start. */
  readonly open: () => AsyncIterable<Uint8Array>;
}

/** Writes a blob that the namespace's lease keeps from then on, though it was there before. */
export async function writeLeased(
  { content, leases, lease }: ContainerdNamespace,
  { digest, size }: BlobName,
  { open, ...options }: WriteLeasedOptions,
): Promise<void> {
  const { signal } = options;
  for (;;) {
    const { existed } = await content.write({ digest, size }, open, options);
    // What is written anew belongs to the lease by itself.
    if (!existed || lease === undefined) return;
    await leases.addResource(lease, { resource: { id: digest, type: "content" }, signal });
    // It may have been collected in between.
    if ((await content.info(digest, { signal })) !== undefined) return;
  }
}
