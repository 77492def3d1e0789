import { randomUUID } from "node:crypto";
import type { ContainerdNamespace } from "../../src/containerd/containerd-client.ts";

/** Resolves when containerd has collected all that nothing keeps. */
export async function collectGarbage({
  leases,
}: Pick<ContainerdNamespace, "leases">): Promise<void> {
  const id = `collect-${randomUUID()}`;
  await leases.create(id, { expires: new Date(Date.now() + 60_000) });
  await leases.delete(id, { sync: true });
}
