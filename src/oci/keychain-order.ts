import { SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import type { Keychain } from "./credentials.ts";

/**
 * Several keychains as one: the first that has credentials which were not refused. One that fails is
 * passed over, and its failure thrown only when no other has any.
 */
export function keychainOrder(
  keychains: readonly Keychain[],
  { log = NO_LOG }: { readonly log?: Logger } = {},
): Keychain {
  return async (host, options) => {
    const { signal, isRefused = () => false } = options;
    let failure: SociError | undefined;
    for (const keychain of keychains) {
      try {
        const found = await keychain(host, options);
        if (found !== undefined && !isRefused(found)) {
          return found;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof SociError)) {
          throw error;
        }
        log.warn("keychain failed", { host, error });
        failure ??= error;
      }
    }
    if (failure !== undefined) {
      throw failure;
    }
    return undefined;
  };
}
