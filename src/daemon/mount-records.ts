import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { unlinkIfThere } from "../oci/durable-file.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { listMounts } from "../sys/mountinfo.ts";
import { type ChainRecord, decodeChainRecord, encodeChainRecord } from "./chain-record.ts";
import { decodeMountRecord, encodeMountRecord, type MountRecord } from "./mount-record.ts";
import { MOUNT_TYPES } from "./unmount-image.ts";

const NAME = /^(\d+)-(\d+)\.(?:json(?:\.\d+)?|[0-9a-z]+\.journal)$/;

/** The records of the mounts that are served from one state root: a file each, named by the device. */
export class MountRecords {
  readonly #directory: string;

  constructor(root: string) {
    this.#directory = join(root, "mounts");
  }

  /**
   * Writes a record, whole or not at all; disposing removes it. It is not synced: a mount ends with the
   * boot. Once a mount is gone the kernel gives its device to the next one: the record of that one stays.
   */
  async put(record: MountRecord): Promise<AsyncDisposable> {
    return await this.#put(record.device, encodeMountRecord(record));
  }

  /** The same for a mount that shows chains. What was put for it before is replaced. */
  async putChains(record: ChainRecord): Promise<AsyncDisposable> {
    return await this.#put(record.device, encodeChainRecord(record));
  }

  async #put(device: string, bytes: Uint8Array): Promise<AsyncDisposable> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#pathOf(device);
    const unfinished = `${path}.${process.pid}`;
    try {
      await writeFile(unfinished, bytes, { mode: 0o600 });
      await rename(unfinished, path);
    } catch (error) {
      await unlinkIfThere(unfinished);
      throw error;
    }
    const { ino } = await stat(path, { bigint: true });
    return {
      [Symbol.asyncDispose]: async () => {
        if ((await inodeOf(path)) === ino) await unlinkIfThere(path);
      },
    };
  }

  /** The record of the mount with this device. @throws not-found, data-loss, unsupported */
  async read(device: string): Promise<MountRecord> {
    return await this.#read(device, decodeMountRecord);
  }

  /** The same for a mount that shows chains. */
  async readChains(device: string): Promise<ChainRecord> {
    return await this.#read(device, decodeChainRecord);
  }

  async #read<T>(device: string, decode: (bytes: Uint8Array, what: string) => T): Promise<T> {
    const path = this.#pathOf(device);
    try {
      return decode(await readFile(path), `record "${path}"`);
    } catch (cause) {
      if (!isErrno(cause, "ENOENT")) throw cause;
      throw new SociError("not-found", `Cannot read record "${path}": there is none`, { cause });
    }
  }

  /** Removes records of mounts that are no more. */
  async sweep(): Promise<void> {
    // Before the mounts: those of which a record is here by now are then among them.
    const names = await this.#list();
    const ours: readonly string[] = MOUNT_TYPES;
    const devices = new Set(
      (await listMounts()).filter(({ type }) => ours.includes(type)).map(({ device }) => device),
    );
    for (const name of names) {
      const [, major, minor] = NAME.exec(name) ?? [];
      if (major === undefined || devices.has(`${major}:${minor}`)) continue;
      await unlinkIfThere(join(this.#directory, name));
    }
  }

  async #list(): Promise<readonly string[]> {
    try {
      return await readdir(this.#directory);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    }
  }

  #pathOf(device: string): string {
    return join(this.#directory, `${device.replace(":", "-")}.json`);
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
