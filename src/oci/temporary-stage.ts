import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { LayoutWriter } from "./layout-writer.ts";
import { isRunning, ownProcess, parseProcessId } from "./process-id.ts";

const PREFIX = ".sociable-stage-";

/**
 * A directory for what must be on disk meanwhile; disposing removes it with all that is in it. One that a
 * killed process left is removed by the next that is made in the same place.
 */
export class TemporaryStage implements AsyncDisposable {
  readonly directory: string;
  #layout: Promise<LayoutWriter> | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes one in `parent`, which must be there. @throws failed-precondition */
  static async make(parent: string): Promise<TemporaryStage> {
    const directory = join(parent, `${PREFIX}${await ownProcess()}.${randomUUID()}`);
    try {
      await sweep(parent);
      await mkdir(directory, { mode: 0o700 });
    } catch (cause) {
      throw new SociError("failed-precondition", `Cannot write in "${parent}"`, { cause });
    }
    return new TemporaryStage(directory);
  }

  /** A layout in it, made when it is first asked for. */
  layout(): Promise<LayoutWriter> {
    this.#layout ??= LayoutWriter.open(join(this.directory, "layout"));
    return this.#layout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const owner = name.startsWith(PREFIX) ? parseProcessId(name.slice(PREFIX.length)) : undefined;
    if (owner !== undefined && (await isRunning(owner)) === false) {
      await rm(join(parent, name), { recursive: true, force: true });
    }
  }
}
