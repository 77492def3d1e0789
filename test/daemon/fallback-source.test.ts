import { expect, test } from "bun:test";
import { FallbackSource } from "../../src/daemon/fallback-source.ts";
import type { ImageName } from "../../src/daemon/registry-access.ts";
import { type ErrorKind, SociError } from "../../src/errors.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { BlobRangeOptions, ImageSource } from "../../src/oci/image-source.ts";
import { rejectionOf } from "../support/failure.ts";

const BYTES = Uint8Array.from({ length: 40 }, (_, index) => index);
const BLOB: Descriptor = { mediaType: "x/y", digest: digestOf(BYTES), size: BYTES.length };
const CHUNK = 10;

const A = { imageReference: "one.example/a:1" };
const B = { imageReference: "two.example/b:1" };

interface Fault {
  readonly kind: ErrorKind;
  /** Bytes that come before. */
  readonly after?: number;
}

/** Registries, by image: what is asked of them, and how they fail. */
class Registries {
  readonly asked: string[] = [];
  readonly faults = new Map<string, Fault>();
  opened = 0;
  images: readonly ImageName[];
  readonly source: FallbackSource;

  constructor(images: readonly ImageName[] = [A, B]) {
    this.images = images;
    this.source = new FallbackSource({
      images: () => this.images,
      open: async (image) => this.#open(image),
      log: NO_LOG,
    });
  }

  #open({ imageReference: name }: ImageName): ImageSource {
    this.opened += 1;
    const never = async (): Promise<never> => {
      throw new Error("nobody asks for this");
    };
    const blobRange = async function* (
      this: Registries,
      { start, end, retry }: BlobRangeOptions,
    ): AsyncGenerator<Uint8Array> {
      this.asked.push(`${name} ${start}${retry === false ? "" : " patiently"}`);
      const fault = this.faults.get(name);
      const stop = fault === undefined ? end : Math.min(end, start + (fault.after ?? 0));
      for (let at = start; at < stop; at += CHUNK)
        yield BYTES.slice(at, Math.min(at + CHUNK, stop));
      if (fault !== undefined) throw new SociError(fault.kind, `${name} fails`);
    }.bind(this);
    return {
      name,
      stats: { requests: 1, bytes: 2 },
      root: never,
      manifest: never,
      referrers: async () => {
        const fault = this.faults.get(name);
        if (fault !== undefined) throw new SociError(fault.kind, `${name} fails`);
        return [BLOB];
      },
      blob: (blob) => blobRange({ start: 0, end: blob.size }),
      blobRange: (_, options) => blobRange(options),
      [Symbol.asyncDispose]: async () => {
        this.opened -= 1;
      },
    };
  }
}

async function read(
  { source }: Registries,
  options: Partial<BlobRangeOptions> = {},
): Promise<readonly number[]> {
  const range = { start: 0, end: BLOB.size, retry: false, ...options };
  const chunks = await Array.fromAsync(source.blobRange(BLOB, range));
  return chunks.flatMap((chunk) => [...chunk]);
}

for (const kind of ["unauthenticated", "permission-denied", "not-found", "unavailable"] as const) {
  test(`the next image is asked where one is ${kind}, and asked first from then on`, async () => {
    const registries = new Registries();
    await using _source = registries.source;
    registries.faults.set(A.imageReference, { kind });
    expect(await read(registries)).toEqual([...BYTES]);
    expect(await read(registries, { start: 30 })).toEqual([...BYTES.slice(30)]);
    expect(registries.asked).toEqual([
      "one.example/a:1 0",
      "two.example/b:1 0",
      "two.example/b:1 30",
    ]);
  });
}

test("the next image goes on where one broke off", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  registries.faults.set(A.imageReference, { kind: "unavailable", after: 20 });
  expect(await read(registries)).toEqual([...BYTES]);
  expect(registries.asked).toEqual(["one.example/a:1 0", "two.example/b:1 20"]);
});

test("all that fail: what may pass is told, after each was asked with patience where that is wanted", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  registries.faults.set(A.imageReference, { kind: "not-found" });
  registries.faults.set(B.imageReference, { kind: "unavailable" });
  expect(await rejectionOf(read(registries))).toMatchObject({
    kind: "unavailable",
    message: "two.example/b:1 fails",
  });
  registries.asked.length = 0;
  expect(await rejectionOf(read(registries, { retry: true }))).toMatchObject({
    kind: "unavailable",
  });
  expect(registries.asked).toEqual([
    "one.example/a:1 0",
    "two.example/b:1 0",
    "one.example/a:1 0 patiently",
    "two.example/b:1 0 patiently",
  ]);
});

test("one image alone is asked as the caller asks", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  registries.images = [A];
  expect(await read(registries, { retry: true })).toEqual([...BYTES]);
  expect(registries.asked).toEqual(["one.example/a:1 0 patiently"]);
});

test("a repository that does not answer is asked by one of its images only, one that refuses by each", async () => {
  const images = [A, { imageReference: "one.example/a:2" }, B];
  const registries = new Registries(images);
  await using _source = registries.source;
  registries.faults.set(A.imageReference, { kind: "unavailable" });
  await read(registries);
  expect(registries.asked).toEqual(["one.example/a:1 0", "two.example/b:1 0"]);
  const refused = new Registries(images);
  await using _refused = refused.source;
  refused.faults.set(A.imageReference, { kind: "unauthenticated" });
  await read(refused);
  expect(refused.asked).toEqual(["one.example/a:1 0", "one.example/a:2 0"]);
});

test("images come and go: one that is gone is closed and not asked any more", async () => {
  const registries = new Registries();
  registries.images = [A];
  await read(registries);
  expect(registries.opened).toBe(1);
  registries.images = [B];
  await read(registries);
  expect(registries.asked.at(-1)).toBe("two.example/b:1 0");
  expect(registries.opened).toBe(1);
  registries.images = [];
  await read(registries);
  expect(registries.asked.at(-1)).toBe("two.example/b:1 0");
  await registries.source[Symbol.asyncDispose]();
  expect(registries.opened).toBe(0);
});

test("bytes that were wrong are asked of another image", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  await read(registries);
  await read(registries, { isFresh: true });
  expect(registries.asked).toEqual(["one.example/a:1 0", "two.example/b:1 0"]);
});

test("blob() begins anew at the next image, but goes on at none", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  registries.faults.set(A.imageReference, { kind: "unauthenticated" });
  const chunks = await Array.fromAsync(registries.source.blob(BLOB));
  expect(chunks.flatMap((chunk) => [...chunk])).toEqual([...BYTES]);
  registries.faults.set(B.imageReference, { kind: "unavailable", after: 10 });
  expect(await rejectionOf(Array.fromAsync(registries.source.blob(BLOB)))).toMatchObject({
    message: "two.example/b:1 fails",
  });
});

test("what is no blob falls back too, and an aborted signal ends it", async () => {
  const registries = new Registries();
  await using _source = registries.source;
  registries.faults.set(A.imageReference, { kind: "not-found" });
  expect(await registries.source.referrers(BLOB.digest, "x")).toEqual([BLOB]);
  expect(registries.source.name).toBe(B.imageReference);
  const reason = new Error("enough");
  registries.faults.set(B.imageReference, { kind: "unavailable" });
  const asking = read(registries, { signal: AbortSignal.abort(reason) });
  expect(await rejectionOf(asking)).toBe(reason);
});
