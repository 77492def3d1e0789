import { expect, test } from "bun:test";
import { archiveHeader } from "../../src/oci/archive-header.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { TarEntry } from "../../src/tar/tar-entry.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";

function entryOf(header: Uint8Array): TarEntry | undefined {
  let found: TarEntry | undefined;
  const scanner = new TarScanner({
    onEntry: (entry) => {
      found = entry;
    },
  });
  scanner.push(header);
  return found;
}

test.each([
  { title: "a file", member: { name: "blobs/sha256/0", size: 12_345 }, mode: 0o444, type: "0" },
  {
    title: "a file of a mode",
    member: { name: "i", size: 1, mode: 0o644 },
    mode: 0o644,
    type: "0",
  },
  { title: "a directory", member: { name: "blobs/", size: 0 }, mode: 0o755, type: "5" },
  {
    title: "8 GiB and more",
    member: { name: "b", size: 8 * 1024 ** 3 + 1 },
    mode: 0o444,
    type: "0",
  },
])("archiveHeader() writes $title as readers of tar read it", ({ member, mode, type }) => {
  const entry = entryOf(archiveHeader(member));
  expect(entry).toMatchObject({ storedSize: member.size, uid: 0n, gid: 0n });
  expect(Number(entry?.mode) & 0o777).toBe(mode);
  expect(String.fromCharCode(entry?.typeflag ?? 0)).toBe(type);
  expect(Buffer.from(entry?.name ?? "").toString()).toBe(member.name);
});

test("archiveHeader() writes the bytes of Go's archive/tar", () => {
  // Of `tar.Writer.WriteHeader(&tar.Header{Name: "blobs/", Typeflag: tar.TypeDir, Mode: 0755})`.
  expect(digestOf(archiveHeader({ name: "blobs/", size: 0 }))).toBe(
    "sha256:9496e2bde6463ea163f87ae6a48dd4dc2728d9f896d38503dce3cb6d7635ff52" as Digest,
  );
});

test("archiveHeader() refuses a name that does not fit", () => {
  expect(() => archiveHeader({ name: "x".repeat(101), size: 0 })).toThrow(RangeError);
});
