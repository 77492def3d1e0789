import { randomUUID } from "node:crypto";
import type { WaitOptions } from "../async/wait-options.ts";
import type { ContainerdNamespace } from "./containerd-client.ts";

/** A namespace in which nothing that is made, or named by keep(), is collected until it is disposed of. */
export interface LeasedNamespace extends AsyncDisposable {
  readonly space: ContainerdNamespace;
}

// Long enough for the largest image; what is left by a killed process goes after it.
const LEASE_MS = 24 * 3_600_000;
const CLEANUP_MS = 10_000;

/** Makes a lease for a piece of work: what the work makes must be named by an image or labels at its end. */
export async function leaseForWork(
  space: ContainerdNamespace,
  { what, signal }: WaitOptions & { readonly what: string },
): Promise<LeasedNamespace> {
  const id = `sociable-${what}-${randomUUID()}`;
  await space.leases.create(id, { expires: new Date(Date.now() + LEASE_MS), signal });
  return {
    space: space.withLease(id),
    [Symbol.asyncDispose]: async () => {
      const deleted = space.leases.delete(id, { signal: AbortSignal.timeout(CLEANUP_MS) });
      // What came of the work counts: the lease ends by itself.
      await deleted.catch(() => undefined);
    },
  };
}

/** Keeps a blob by the namespace's lease; whether it is there. */
export async function keepContent(
  { content, leases, lease }: ContainerdNamespace,
  { digest, size }: { readonly digest: string; readonly size: number },
  { signal }: WaitOptions = {},
): Promise<boolean> {
  if ((await content.info(digest, { signal }))?.size !== size) return false;
  if (lease === undefined) return true;
  await leases.addResource(lease, { resource: { id: digest, type: "content" }, signal });
  // It may have been collected in between.
  return (await content.info(digest, { signal })) !== undefined;
}
