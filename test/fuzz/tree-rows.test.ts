import { expect } from "bun:test";
import fc from "fast-check";
import { decodeEntries } from "../../src/tree/decode-entries.ts";
import { encodeEntries } from "../../src/tree/encode-entries.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import type { FileMetadata } from "../../src/ztoc/file-metadata.ts";
import { FileRow } from "../../src/ztoc/file-row.ts";
import { plain } from "../ztoc/files.ts";
import { toc } from "../tree/toc-entries.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";
import { hostileEntry } from "./tree-samples.ts";
import { TABLE_SAMPLE } from "./ztoc-samples.ts";

/** One for all, as those who read many rows have it: nothing of a row may stay for the next. */
const row = new FileRow();

function expectSameRows(files: Iterable<FileMetadata>): void {
  for (const file of files) {
    row.read(file);
    expect(plain(row.toMetadata())).toEqual(plain(file));
  }
}

fuzz(
  "FileRow.read() takes what a zTOC's rows say, whatever the zTOC",
  { runs: 6000 },
  mutationsOf([TABLE_SAMPLE], 3),
  (bytes) => {
    const ztoc = acceptedBy(outcomeOf(() => decodeZtoc(bytes)));
    if (ztoc !== undefined) expectSameRows(ztoc.files);
  },
);

fuzz(
  "FileRow.read() takes what plain and encoded rows say",
  { runs: 300 },
  fc.array(hostileEntry, { maxLength: 6 }),
  (entries) => {
    const rows = toc(entries);
    expectSameRows(rows);
    expectSameRows(decodeEntries(encodeEntries(rows)).files);
  },
);
