import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { ArchiveFiles } from "../../src/oci/archive-files.ts";
import { readWhole } from "../../src/oci/layout-files.ts";
import { block, concat, END, entry } from "../tar/tar-blocks.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fuzzAsync } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { TAR_SAMPLES } from "./tar-samples.ts";

const part = fc.constantFrom("a", "b", "c", "..", ".", "", "index.json", "blobs");
const path = fc
  .record({ root: fc.constantFrom("", "/", "../"), parts: fc.array(part, { maxLength: 4 }) })
  .map(({ root, parts }) => root + parts.join("/"));
const member = fc
  .record({
    name: path,
    linkname: path,
    type: fc.constantFrom("0", "0", "1", "2", "5"),
    size: fc.nat(1500),
  })
  .map(({ name, linkname, type, size }) =>
    type === "0" ? entry({ name }, "x".repeat(size)) : block({ name, linkname, type }),
  );
const archive = fc.oneof(
  mutationsOf(TAR_SAMPLES, 4),
  fc.array(member, { maxLength: 8 }).map((members) => concat([...members, END])),
);

/** Reads a member, or says why not. */
async function readMember(files: ArchiveFiles, name: string): Promise<Uint8Array | undefined> {
  try {
    await using slice = await files.open(name);
    return slice === undefined ? undefined : await readWhole(slice);
  } catch (error) {
    if (!isKind(error, "data-loss", "unsupported")) throw error;
    return undefined;
  }
}

fuzzAsync(
  "ArchiveFiles reads damaged archives, with any names and links, from their own bytes alone",
  { runs: 250 },
  fc.record({ tar: archive, names: fc.array(path, { minLength: 1, maxLength: 4 }) }),
  async ({ tar, names }) => {
    await using dir = await tempDir();
    // What a name that leads outside would find.
    await writeFile(dir.join("a"), "outside");
    const file = dir.join("image.tar");
    await writeFile(file, tar);
    let files: ArchiveFiles;
    try {
      files = await ArchiveFiles.open(file);
    } catch (error) {
      if (!isKind(error, "data-loss", "unsupported")) throw error;
      return;
    }
    await using _closed = files;
    for (const name of names) {
      const bytes = await readMember(files, name);
      if (bytes !== undefined) expect(Buffer.from(tar).includes(bytes)).toBe(true);
    }
  },
);
