import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import { type Lease, type LeaseResource, LEASES_SERVICE } from "./api/leases.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

export interface CreateLeaseOptions extends WaitOptions {
  /** When containerd may take it away though nobody did. */
  readonly expires: Date;
}

/** What keeps content and snapshots that no image names yet. */
export class LeasesClient {
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls) {
    this.#calls = calls;
  }

  /** @throws already-exists */
  async create(id: string, { expires, signal }: CreateLeaseOptions): Promise<void> {
    const labels = { "containerd.io/gc.expire": expires.toISOString() };
    const what = `create lease "${id}"`;
    await this.#calls.unary(LEASES_SERVICE.create, { id, labels }, { what, signal });
  }

  /** One that is not there is fine. */
  async delete(
    id: string,
    { sync = false, signal }: WaitOptions & { readonly sync?: boolean } = {},
  ): Promise<void> {
    const what = `delete lease "${id}"`;
    try {
      await this.#calls.unary(LEASES_SERVICE.delete, { id, sync }, { what, signal });
    } catch (error) {
      if (!isKind(error, "not-found")) throw error;
    }
  }

  async list(
    filters: readonly string[] = [],
    { signal }: WaitOptions = {},
  ): Promise<readonly Lease[]> {
    const what = "list the leases of containerd";
    return (await this.#calls.unary(LEASES_SERVICE.list, { filters }, { what, signal })).leases;
  }

  async addResource(
    id: string,
    { resource, signal }: WaitOptions & { readonly resource: LeaseResource },
  ): Promise<void> {
    const what = `add ${resource.type} "${resource.id}" to lease "${id}"`;
    await this.#calls.unary(LEASES_SERVICE.addResource, { id, resource }, { what, signal });
  }
}
