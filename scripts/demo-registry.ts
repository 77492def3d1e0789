import { join } from "node:path";
import { SociError } from "../src/errors.ts";
import { directoryBlobs } from "../test/support/blob-store.ts";
import { findDockerRegistry, startDockerRegistry } from "../test/support/docker-registry.ts";
import { TestRegistry } from "../test/support/registry.ts";

export interface DemoRegistry extends AsyncDisposable {
  /** As names of images spell it. */
  readonly host: string;
  /** What it is, in lines for people. */
  readonly kind: readonly string[];
}

/** A registry on loopback that keeps everything in `directory`. */
export async function startRegistry(directory: string): Promise<DemoRegistry> {
  const program = findDockerRegistry();
  if (program !== undefined) {
    const registry = await startDockerRegistry(program, { directory }).catch((cause: unknown) => {
      throw new SociError("failed-precondition", `Cannot start "${program}"`, { cause });
    });
    return {
      host: registry.host,
      kind: [`docker-registry (${program}); it has no Referrers API: the fallback tag is used`],
      [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
    };
  }
  const registry = TestRegistry.start({}, directoryBlobs(join(directory, "registry")));
  return {
    host: registry.host,
    kind: [
      "this project's own test registry, with the Referrers API",
      "(docker-registry is not installed; as root on Debian: apt-get install docker-registry)",
    ],
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}
