import {
  ContainerdClient,
  type ContainerdNamespace,
} from "../../src/containerd/containerd-client.ts";
import type { CliResult, FakeIoOptions } from "../cli/fake-io.ts";
import { runSociInProcess } from "../cli/soci/soci-process.ts";
import { ContainerdProcess } from "../support/containerd-process.ts";
import { TestRegistry } from "../support/registry.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

/** A root and a namespace of containerd of its own for one sequence of commands. */
export interface SociRun {
  readonly root: string;
  readonly space: ContainerdNamespace;
  /** Runs `soci` there. */
  soci(argv: readonly string[], options?: FakeIoOptions): Promise<CliResult>;
}

/** A containerd and a registry that tests of `soci` share. */
export class SociStage implements AsyncDisposable {
  readonly directory: TempDir;
  readonly containerd: ContainerdProcess;
  readonly client: ContainerdClient;
  readonly registry: TestRegistry;
  #runs = 0;

  private constructor(directory: TempDir, containerd: ContainerdProcess) {
    this.directory = directory;
    this.containerd = containerd;
    this.client = new ContainerdClient(containerd.address);
    this.registry = TestRegistry.start();
  }

  static async start(): Promise<SociStage> {
    const directory = await tempDir();
    try {
      const place = { directory: directory.join("containerd") };
      return new SociStage(directory, await ContainerdProcess.start(place));
    } catch (error) {
      await directory[Symbol.asyncDispose]();
      throw error;
    }
  }

  newRun(contentStore: "containerd" | "soci" = "containerd"): SociRun {
    this.#runs += 1;
    const namespace = `run-${this.#runs}`;
    const root = this.directory.join(`root-${this.#runs}`);
    const globals = ["--address", this.containerd.address, "--namespace", namespace];
    return {
      root,
      space: this.client.namespace(namespace),
      soci: async (argv, options) =>
        await runSociInProcess(
          [...globals, "--root", root, "--content-store", contentStore, ...argv],
          { cwd: this.directory.path, ...options },
        ),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.containerd[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}
