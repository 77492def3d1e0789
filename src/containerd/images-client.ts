import type { WaitOptions } from "../async/wait-options.ts";
import { isKind } from "../errors.ts";
import type { ApiDescriptor } from "./api/descriptor.ts";
import { IMAGE_RECORD, type ImageRecord, IMAGES_SERVICE } from "./api/images.ts";
import type { ContainerdCalls } from "./containerd-calls.ts";

export interface PutImageOptions extends WaitOptions {
  readonly target: ApiDescriptor;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The names of images in one namespace. */
export class ImagesClient {
  readonly #calls: ContainerdCalls;

  constructor(calls: ContainerdCalls) {
    this.#calls = calls;
  }

  /** `undefined` when there is none. */
  async get(name: string, { signal }: WaitOptions = {}): Promise<ImageRecord | undefined> {
    const what = `look up image "${name}"`;
    try {
      return (await this.#calls.unary(IMAGES_SERVICE.get, { name }, { what, signal })).image;
    } catch (error) {
      if (isKind(error, "not-found")) return undefined;
      throw error;
    }
  }

  async list(
    filters: readonly string[] = [],
    { signal }: WaitOptions = {},
  ): Promise<readonly ImageRecord[]> {
    const what = "list the images of containerd";
    return (await this.#calls.unary(IMAGES_SERVICE.list, { filters }, { what, signal })).images;
  }

  /** Makes a name stand for a target, whatever it stood for before. Labels that it had stay. */
  async put(name: string, { target, labels = {}, signal }: PutImageOptions): Promise<ImageRecord> {
    const image = IMAGE_RECORD.create({ name, target, labels });
    const create = { what: `create image "${name}"`, signal };
    const update = { what: `update image "${name}"`, signal };
    const paths = ["target", ...Object.keys(labels).map((label) => `labels.${label}`)];
    // The other one may be too late as well: somebody else made the name, or took it away, meanwhile.
    for (let tries = 0; ; tries += 1) {
      try {
        const answer = await this.#calls.unary(IMAGES_SERVICE.create, { image }, create);
        return answer.image ?? image;
      } catch (error) {
        if (!isKind(error, "already-exists")) throw error;
      }
      try {
        const request = { image, updateMask: { paths } };
        const answer = await this.#calls.unary(IMAGES_SERVICE.update, request, update);
        return answer.image ?? image;
      } catch (error) {
        if (!isKind(error, "not-found") || tries >= MAX_TRIES) throw error;
      }
    }
  }

  /** Sets labels; an empty one is taken away. The others, and the target, stay. @throws not-found */
  async setLabels(
    name: string,
    { labels, signal }: WaitOptions & { readonly labels: Readonly<Record<string, string>> },
  ): Promise<void> {
    const image = IMAGE_RECORD.create({ name, labels });
    const updateMask = { paths: Object.keys(labels).map((label) => `labels.${label}`) };
    const what = `label image "${name}"`;
    await this.#calls.unary(IMAGES_SERVICE.update, { image, updateMask }, { what, signal });
  }

  /** Whether there was one. `sync` waits until what nothing needs any more has been collected. */
  async delete(
    name: string,
    { sync = false, signal }: WaitOptions & { readonly sync?: boolean } = {},
  ): Promise<boolean> {
    const what = `delete image "${name}"`;
    try {
      await this.#calls.unary(IMAGES_SERVICE.delete, { name, sync }, { what, signal });
      return true;
    } catch (error) {
      if (isKind(error, "not-found")) return false;
      throw error;
    }
  }
}

const MAX_TRIES = 3;
