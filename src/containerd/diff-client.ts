import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { ApiDescriptor } from "./api/descriptor.ts";
import { DIFF_SERVICE } from "./api/diff.ts";
import type { Mount } from "./api/mount.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

export interface ApplyOptions extends WaitOptions {
  readonly mounts: readonly Mount[];
}

/** Unpacks layers. */
export class DiffClient {
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls) {
    this.#calls = calls;
  }

  /** Unpacks a layer of the content store; resolves to the uncompressed layer. Takes as long as it takes. */
  async apply(diff: ApiDescriptor, { mounts, signal }: ApplyOptions): Promise<ApiDescriptor> {
    const what = `unpack layer ${diff.digest}`;
    const request = { diff, mounts };
    const { applied } = await this.#calls.unary(DIFF_SERVICE.apply, request, {
      what,
      signal,
      timeoutMs: 0,
    });
    if (applied === undefined) throw new SociError("internal", `Cannot ${what}: no answer`);
    return applied;
  }
}
