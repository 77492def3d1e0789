import { describe, expect, test } from "bun:test";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import tarStream from "tar-stream";
import type { TarEntry } from "../../src/tar/tar-entry.ts";
import { scan, text } from "./scan.ts";

interface TempDir extends AsyncDisposable {
  readonly path: string;
}

async function tempDir(): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), "tar-scanner-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What an entry's data is, holes filled. */
function contentOf(tar: Uint8Array, entry: TarEntry): Uint8Array {
  const { sparseExtents, size, dataStart, storedSize } = entry;
  const stored = tar.subarray(dataStart, dataStart + storedSize);
  if (sparseExtents === undefined) {
    return stored;
  }
  const content = new Uint8Array(size);
  let at = 0;
  for (const { offset, length } of sparseExtents) {
    content.set(stored.subarray(at, at + length), offset);
    at += length;
  }
  return content;
}

async function gnuTar(dir: string, ...options: readonly string[]): Promise<Uint8Array> {
  const child = Bun.spawn(["tar", "-C", dir, "--numeric-owner", ...options, "-cf", "-", "."], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const tar = new Uint8Array(await new Response(child.stdout).arrayBuffer());
  expect(await child.exited).toBe(0);
  return tar;
}

describe("TarScanner beside other tars", () => {
  test("finds what tar-stream has packed", async () => {
    const file = fc.record({
      name: fc.string({ unit: "grapheme", minLength: 1, maxLength: 150 }).filter((name) => {
        return !/[\0/]/.test(name);
      }),
      // tar-stream cuts owners to six digits.
      uid: fc.nat(0o777777),
      gid: fc.nat(0o777777),
      // tar-stream takes mode 0 for none given.
      mode: fc.integer({ min: 1, max: 0o7777 }),
      mtime: fc.nat(2 ** 31 - 1),
      body: fc.uint8Array({ maxLength: 1500 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { maxLength: 8 }), async (files) => {
        const pack = tarStream.pack();
        for (const { body, mtime, ...header } of files) {
          pack.entry({ ...header, mtime: new Date(mtime * 1000) }, Buffer.from(body));
        }
        pack.finalize();
        const tar = new Uint8Array(
          await new Response(pack as unknown as ReadableStream).arrayBuffer(),
        );
        const found = scan(tar).entries.map((entry) => ({
          name: Buffer.from(entry.name).toString(),
          uid: Number(entry.uid),
          gid: Number(entry.gid),
          mode: Number(entry.mode),
          mtime: Number(entry.mtime.seconds),
          body: new Uint8Array(contentOf(tar, entry)),
        }));
        expect(found).toEqual(files);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    { title: "gnu", options: ["--format=gnu"] },
    { title: "gnu, sparse", options: ["--format=gnu", "-S"] },
    { title: "posix", options: ["--format=posix"] },
    { title: "posix, sparse 0.0", options: ["--format=posix", "-S", "--sparse-version=0.0"] },
    { title: "posix, sparse 0.1", options: ["--format=posix", "-S", "--sparse-version=0.1"] },
    { title: "posix, sparse 1.0", options: ["--format=posix", "-S", "--sparse-version=1.0"] },
    { title: "ustar", options: ["--format=ustar"] },
    { title: "v7", options: ["--format=v7"] },
  ])("reads what GNU tar writes as $title", async ({ options }) => {
    await using dir = await tempDir();
    const long = "l".repeat(95);
    const holes = new Uint8Array(300_000);
    holes.set([1, 2, 3], 100_000);
    await writeFile(join(dir.path, long), "hello");
    await writeFile(join(dir.path, "holes"), "");
    await truncate(join(dir.path, "holes"), holes.length);
    const handle = Bun.file(join(dir.path, "small"));
    await Bun.write(handle, "x".repeat(513));
    const child = Bun.spawn(
      ["dd", `of=${join(dir.path, "holes")}`, "bs=1", "seek=100000", "conv=notrunc", "status=none"],
      { stdin: holes.slice(100_000, 100_003) },
    );
    expect(await child.exited).toBe(0);
    const tar = await gnuTar(dir.path, ...options);
    const { entries, endOffset } = scan(tar);
    const contents = new Map(entries.map((entry) => [text(entry.name), contentOf(tar, entry)]));
    expect(Buffer.from(contents.get(`./${long}`) ?? []).toString()).toBe("hello");
    expect(contents.get("./small")?.length).toBe(513);
    expect(Buffer.compare(Buffer.from(contents.get("./holes") ?? []), Buffer.from(holes))).toBe(0);
    expect(endOffset).toBeLessThanOrEqual(tar.length);
  });
});
