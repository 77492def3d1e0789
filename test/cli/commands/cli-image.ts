import type { BuiltImage, BuiltIndex } from "../../support/image-builder.ts";
import { addImage } from "../../support/image-builder.ts";
import { TestRegistry } from "../../support/registry.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { FakeIo, type FakeIoOptions } from "../fake-io.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { runCli } from "../../../src/cli/run-cli.ts";

type Manners = Parameters<typeof TestRegistry.start>[0];

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

/** An image in a registry of its own, a temp dir, and sociable in this process. */
export interface CliImage extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly temp: TempDir;
  readonly name: string;
  /** Runs a command with the state in `root` of the temp dir; another root is another machine. */
  run(
    argv: readonly string[],
    options?: FakeIoOptions & { readonly root?: string; readonly registry?: CommandGroup },
  ): Promise<RunResult>;
}

export async function cliImage(
  image: BuiltImage | BuiltIndex,
  manners: Manners = {},
): Promise<CliImage> {
  await using resources = new AsyncDisposableStack();
  const registry = resources.use(TestRegistry.start(manners));
  const temp = resources.use(await tempDir());
  await addImage(registry, "app", { image, tag: "v1" });
  const owned = resources.move();
  return {
    registry,
    temp,
    name: `${registry.host}/app:v1`,
    run: async (
      [command = "", ...rest],
      { root = "root", registry: commands, ...options } = {},
    ) => {
      const io = new FakeIo({ cwd: temp.path, ...options });
      const argv = [command, "--root", temp.join(root), ...rest];
      const code = await runCli(argv, {
        io,
        services: {},
        ...(commands === undefined ? {} : { registry: commands }),
      });
      return { code, stdout: io.stdoutText, bytes: io.stdoutBytes, stderr: io.stderrText };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
