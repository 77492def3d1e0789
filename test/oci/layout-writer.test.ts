import { describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import fc from "fast-check";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { tempDir } from "../support/temp-dir.ts";

const CHILD = new URL("../support/layout-child.ts", import.meta.url).pathname;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function entryOf(text: string, tag?: string): Descriptor {
  return {
    mediaType: OCI_MANIFEST,
    digest: digestOf(text),
    size: text.length,
    ...(tag === undefined ? {} : { annotations: { "org.opencontainers.image.ref.name": tag } }),
  };
}

describe("LayoutWriter.open()", () => {
  test("makes a layout that is complete and empty", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.join("new", "layout"));
    expect(await readFile(`${layout.dir}/oci-layout`, "utf8")).toBe(
      '{"imageLayoutVersion":"1.0.0"}',
    );
    expect((await layout.readIndex()).manifests).toEqual([]);
  });

  test("leaves what is there alone", async () => {
    await using dir = await tempDir();
    await using first = await LayoutWriter.open(dir.path);
    await first.addToIndex(entryOf("a"));
    await using second = await LayoutWriter.open(dir.path);
    expect((await second.readIndex()).manifests).toEqual([entryOf("a")]);
  });

  test.each([
    {
      title: "another version",
      name: "oci-layout",
      text: '{"imageLayoutVersion":"9"}',
      kind: "unsupported",
    },
    { title: "a damaged oci-layout", name: "oci-layout", text: "{", kind: "data-loss" },
    {
      title: "a damaged index.json",
      name: "index.json",
      text: '{"schemaVersion":2',
      kind: "data-loss",
    },
  ])("refuses $title", async ({ name, text, kind }) => {
    await using dir = await tempDir();
    await writeFile(dir.join(name), text);
    await expect(LayoutWriter.open(dir.path)).rejects.toMatchObject({ kind });
  });

  test("refuses a file in the place of the directory", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("file"), "");
    await expect(LayoutWriter.open(dir.join("file"))).rejects.toMatchObject({
      kind: "failed-precondition",
    });
  });

  test("removes unfinished files of dead processes, and no others", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("ingest"));
    const own = await ownPrefix();
    const dead = own.replace(/^\d+/, "999999999");
    const names = [`${own}.a`, `${dead}.b`, "somebody-elses"];
    for (const name of names) {
      await writeFile(dir.join("ingest", name), "x");
    }
    await LayoutWriter.open(dir.path);
    expect((await readdir(dir.join("ingest"))).toSorted()).toEqual(
      [`${own}.a`, "somebody-elses"].toSorted(),
    );
  });
});

describe("LayoutWriter.putBlob()", () => {
  test("stores a stream of unknown digest and returns its descriptor", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const descriptor = await layout.putBlob({ mediaType: "a/b" }, [bytesOf("he"), bytesOf("llo")]);
    expect(descriptor).toEqual({ mediaType: "a/b", digest: digestOf("hello"), size: 5 });
    expect(await layout.readBlob(descriptor.digest)).toEqual(bytesOf("hello"));
  });

  test("keeps annotations of what was expected", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const annotations = { a: "b" };
    const descriptor = await layout.putBlob({ mediaType: "a/b", annotations }, [bytesOf("x")]);
    expect(descriptor.annotations).toEqual(annotations);
  });

  test("makes blobs read-only files named by their digest", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const { digest } = await layout.putBytes("a/b", bytesOf("x"));
    const { mode } = await stat(dir.join("blobs", "sha256", hexOf(digest)));
    expect(mode & 0o777).toBe(0o444);
  });

  test("stores an empty blob", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    expect((await layout.putBlob({ mediaType: "a/b" }, [])).digest).toBe(digestOf(""));
  });

  test.each([
    { title: "another digest", expected: { digest: digestOf("other") } },
    { title: "more bytes", expected: { size: 6 } },
    { title: "fewer bytes", expected: { size: 4 } },
  ])("refuses bytes where $title was expected, and leaves nothing", async ({ expected }) => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const put = layout.putBlob({ mediaType: "a/b", ...expected }, [bytesOf("hello")]);
    await expect(put).rejects.toMatchObject({ kind: "data-loss" });
    expect(await readdir(dir.join("blobs", "sha256"))).toEqual([]);
    expect(await readdir(dir.join("ingest"))).toEqual([]);
  });

  test("leaves nothing when the stream fails", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const reason = new Error("broken");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytesOf("abc");
      throw reason;
    }
    await expect(layout.putBlob({ mediaType: "a/b" }, broken())).rejects.toBe(reason);
    expect(await readdir(dir.join("ingest"))).toEqual([]);
  });

  test("does not read the stream of a blob that is there", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const descriptor = await layout.putBytes("a/b", bytesOf("x"));
    const unread = {
      [Symbol.asyncIterator]: () => {
        throw new Error("was read");
      },
    };
    expect(await layout.putBlob(descriptor, unread)).toEqual(descriptor);
  });

  test("replaces a blob of the wrong size", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const digest = digestOf("hello");
    await writeFile(layout.blobPath(digest), "hel");
    await layout.putBlob({ mediaType: "a/b", digest, size: 5 }, [bytesOf("hello")]);
    expect(await layout.readBlob(digest)).toEqual(bytesOf("hello"));
  });

  test("stores the same blob from several writers at once", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const puts = Array.from({ length: 8 }, () => layout.putBytes("a/b", bytesOf("same")));
    expect(new Set((await Promise.all(puts)).map(({ digest }) => digest)).size).toBe(1);
  });

  test("throws the signal's reason and leaves nothing", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const controller = new AbortController();
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let count = 0; ; count++) {
        yield bytesOf("x");
        if (count === 3) {
          controller.abort(new Error("stop"));
        }
      }
    }
    const put = layout.putBlob({ mediaType: "a/b" }, endless(), { signal: controller.signal });
    await expect(put).rejects.toThrow("stop");
    expect(await readdir(dir.join("ingest"))).toEqual([]);
  });
});

describe("LayoutWriter.readBlob()", () => {
  test("throws not-found for an absent blob", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    await expect(layout.readBlob(digestOf("x"))).rejects.toMatchObject({ kind: "not-found" });
  });

  test("refuses a damaged blob", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    await writeFile(layout.blobPath(digestOf("hello")), "hallo");
    await expect(layout.readBlob(digestOf("hello"))).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses a blob over the limit", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const { digest } = await layout.putBytes("a/b", bytesOf("hello"));
    await expect(layout.readBlob(digest, { maxBytes: 4 })).rejects.toMatchObject({
      kind: "data-loss",
    });
  });
});

describe("LayoutWriter.deleteBlob()", () => {
  test("tells whether the blob was there", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const { digest } = await layout.putBytes("a/b", bytesOf("x"));
    expect([await layout.deleteBlob(digest), await layout.deleteBlob(digest)]).toEqual([
      true,
      false,
    ]);
    expect(await layout.hasBlob(digest)).toBe(false);
  });
});

describe("LayoutWriter.addToIndex()", () => {
  test.each([
    { title: "the same digest once", add: [entryOf("a"), entryOf("a")], want: [entryOf("a")] },
    {
      title: "two digests in order",
      add: [entryOf("a"), entryOf("b")],
      want: [entryOf("a"), entryOf("b")],
    },
    {
      title: "a tag that moves",
      add: [entryOf("a", "t"), entryOf("b", "t")],
      want: [entryOf("b", "t")],
    },
    {
      title: "two tags of one digest",
      add: [entryOf("a", "t"), entryOf("a", "u")],
      want: [entryOf("a", "t"), entryOf("a", "u")],
    },
    {
      title: "a tag for an entry without",
      add: [entryOf("a"), entryOf("a", "t")],
      want: [entryOf("a", "t")],
    },
  ])("keeps $title", async ({ add, want }) => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    for (const entry of add) {
      await layout.addToIndex(entry);
    }
    expect((await layout.readIndex()).manifests).toEqual(want);
  });

  test("keeps fields that it does not know", async () => {
    await using dir = await tempDir();
    const text = `{"schemaVersion":2,"x-tool":{"a":1},"manifests":[${JSON.stringify({ ...entryOf("a"), "x-more": true })}]}`;
    await writeFile(dir.join("index.json"), text);
    await using layout = await LayoutWriter.open(dir.path);
    await layout.addToIndex(entryOf("b"));
    const stored = await readFile(dir.join("index.json"), "utf8");
    expect(stored).toContain('"x-tool":{"a":1}');
    expect(stored).toContain('"x-more":true');
  });

  test("loses no entry of writers at work at once", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const names = Array.from({ length: 12 }, (_, number) => `entry ${number}`);
    await Promise.all(names.map((name) => layout.addToIndex(entryOf(name))));
    expect((await layout.readIndex()).manifests.length).toBe(names.length);
  });

  test("breaks the lock of a dead process", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    const dead = (await ownPrefix()).replace(/^\d+/, "999999999");
    await symlink(`${dead}.lock`, dir.join("index.lock"));
    await layout.addToIndex(entryOf("a"));
    expect((await readdir(dir.path)).toSorted()).toEqual([
      "blobs",
      "index.json",
      "ingest",
      "oci-layout",
    ]);
  });

  test("waits for the lock of a living process until the signal aborts", async () => {
    await using dir = await tempDir();
    await using layout = await LayoutWriter.open(dir.path);
    await symlink(`${await ownPrefix()}.lock`, dir.join("index.lock"));
    const reason = new Error("waited enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 60);
    const adding = layout.addToIndex(entryOf("a"), { signal: controller.signal });
    await expect(adding).rejects.toBe(reason);
    await rm(dir.join("index.lock"));
  });

  test("keeps any sequence of additions and removals as a list would", async () => {
    const step = fc.record({ text: fc.constantFrom("a", "b", "c"), add: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
        await using dir = await tempDir();
        await using layout = await LayoutWriter.open(dir.path);
        const model = new Set<string>();
        for (const { text, add } of steps) {
          model.delete(text);
          if (add) {
            model.add(text);
            await layout.addToIndex(entryOf(text));
          } else {
            await layout.removeFromIndex(digestOf(text));
          }
        }
        expect((await layout.readIndex()).manifests).toEqual(
          [...model].map((text) => entryOf(text)),
        );
      }),
      { numRuns: 15 },
    );
  });
});

describe("LayoutWriter and kill -9", () => {
  test("leaves a layout that opens, of whole blobs and a whole index", async () => {
    await using dir = await tempDir();
    await LayoutWriter.open(dir.path);
    for (let round = 0; round < 8; round++) {
      const child = Bun.spawn([process.execPath, CHILD, dir.path, String(round)], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const reader = child.stdout.getReader();
      await reader.read();
      await Bun.sleep(5 + Math.random() * 40);
      child.kill("SIGKILL");
      await child.exited;
      await using layout = await LayoutWriter.open(dir.path);
      for (const { digest } of (await layout.readIndex()).manifests) {
        expect(await layout.hasBlob(digest)).toBe(true);
      }
      for (const name of await readdir(dir.join("blobs", "sha256"))) {
        const content = await readFile(dir.join("blobs", "sha256", name));
        expect(hexOf(digestOf(content))).toBe(name);
      }
    }
    await using last = await LayoutWriter.open(dir.path);
    await last.addToIndex(entryOf("after all"));
    const { manifests } = await last.readIndex();
    expect(manifests.length).toBeGreaterThan(1);
  }, 30_000);

  test("loses no entry of processes at work at once", async () => {
    await using dir = await tempDir();
    await LayoutWriter.open(dir.path);
    const children = [1, 2, 3].map((name) =>
      Bun.spawn([process.execPath, CHILD, dir.path, `p${name}`, "15"], {
        stdout: "ignore",
        stderr: "inherit",
      }),
    );
    expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0, 0]);
    await using layout = await LayoutWriter.open(dir.path);
    expect((await layout.readIndex()).manifests.length).toBe(45);
  }, 30_000);
});

/** How this process is named in the layout's temporary files: seen in one that it writes. */
async function ownPrefix(): Promise<string> {
  await using dir = await tempDir();
  await using layout = await LayoutWriter.open(dir.path);
  let name = "";
  async function* seen(): AsyncGenerator<Uint8Array> {
    yield bytesOf("x");
    [name = ""] = await readdir(dir.join("ingest"));
  }
  await layout.putBlob({ mediaType: "a/b" }, seen());
  return name.slice(0, name.indexOf("."));
}
