import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import { type Namespace, NAMESPACES_SERVICE } from "./api/namespaces.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

/** containerd's namespaces. */
export class NamespacesClient {
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls) {
    this.#calls = calls;
  }

  async list({ signal }: WaitOptions = {}): Promise<readonly Namespace[]> {
    const what = "list the namespaces of containerd";
    return (await this.#calls.unary(NAMESPACES_SERVICE.list, {}, { what, signal })).namespaces;
  }

  /** Makes a namespace if there is none. @throws invalid-argument */
  async ensure(name: string, { signal }: WaitOptions = {}): Promise<void> {
    const namespace = { name, labels: {} };
    const what = `create namespace "${name}"`;
    // The event of it is published in a namespace: its own will do.
    const calls = this.#calls.within({ namespace: name });
    try {
      await calls.unary(NAMESPACES_SERVICE.create, { namespace }, { what, signal });
    } catch (error) {
      if (!isKind(error, "already-exists")) throw error;
    }
  }
}
