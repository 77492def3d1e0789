import { describe, expect, test } from "bun:test";
import { FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_INTERRUPT, FUSE_READ } from "../../src/fuse/abi.ts";
import { fuse_in_header } from "../../src/fuse/abi-structs.ts";
import {
  beginJournal,
  journalBytes,
  RequestJournal,
  unansweredIn,
} from "../../src/fuse/request-journal.ts";
import { failureOf } from "../support/failure.ts";

function newJournal(threads = 2): Uint8Array {
  const memory = new Uint8Array(journalBytes(threads));
  beginJournal(memory, threads);
  return memory;
}

/** A request of `bytes`, told apart by its number. */
function frame(unique: number, { opcode = FUSE_READ, bytes = 80 } = {}): Uint8Array {
  const request = new Uint8Array(bytes).fill(unique & 0xff);
  const view = new DataView(request.buffer);
  view.setUint32(fuse_in_header.at.len, bytes, true);
  view.setUint32(fuse_in_header.at.opcode, opcode, true);
  view.setBigUint64(fuse_in_header.at.unique, BigInt(unique), true);
  return request;
}

function sorted(frames: readonly Uint8Array[]): readonly string[] {
  return frames.map((one) => Buffer.from(one).toString("hex")).toSorted();
}

describe("RequestJournal", () => {
  test("has what stands in a thread's slot until its length is 0", () => {
    const memory = newJournal();
    const journal = new RequestJournal(memory, 1);
    journal.request.set(frame(7));
    expect(unansweredIn(memory)).toEqual([frame(7)]);
    journal.request.fill(0, 0, 4);
    expect(unansweredIn(memory)).toEqual([]);
  });

  test("has what was put aside until it is released, by whatever thread", () => {
    const memory = newJournal();
    const slots = [0, 1].map((thread) =>
      new RequestJournal(memory, thread).park(frame(thread + 5)),
    );
    expect(sorted(unansweredIn(memory))).toEqual(sorted([frame(5), frame(6)]));
    new RequestJournal(memory, 0).release(slots[1] ?? -1);
    expect(unansweredIn(memory)).toEqual([frame(5)]);
  });

  test("gives a released slot again, and none twice", () => {
    const memory = newJournal(1);
    const journal = new RequestJournal(memory, 0);
    const slots = Array.from({ length: 3000 }, (_, i) => journal.park(frame(i + 1)));
    const given = slots.filter((slot) => slot >= 0);
    expect(new Set(given).size).toBe(given.length);
    expect(given.length).toBe(1024);
    journal.release(given[17] ?? -1);
    expect(journal.park(frame(9000))).toBe(given[17] ?? -1);
    expect(journal.park(frame(9001))).toBe(-1);
    journal.release(-1);
  });

  test.each([
    { title: "FORGET", opcode: FUSE_FORGET },
    { title: "BATCH_FORGET", opcode: FUSE_BATCH_FORGET },
    { title: "INTERRUPT", opcode: FUSE_INTERRUPT },
  ])("has no $title, which nobody waits for", ({ opcode }) => {
    const memory = newJournal();
    new RequestJournal(memory, 0).request.set(frame(7, { opcode }));
    expect(unansweredIn(memory)).toEqual([]);
  });

  test.each([
    { title: "longer than any", bytes: 5000 },
    { title: "shorter than a header", bytes: 39 },
  ])("puts nothing aside that is $title", ({ bytes }) => {
    const memory = newJournal();
    expect(new RequestJournal(memory, 0).park(new Uint8Array(bytes))).toBe(-1);
  });
});

describe("unansweredIn()", () => {
  test.each([
    { title: "empty", memory: new Uint8Array(0) },
    { title: "never begun", memory: new Uint8Array(journalBytes(1)) },
    { title: "of something else", memory: new Uint8Array(10_000).fill(0x41) },
  ])("finds nothing in a file that is $title", ({ memory }) => {
    expect(unansweredIn(memory)).toEqual([]);
  });

  test("refuses another version", () => {
    const memory = newJournal();
    memory[4] = 99;
    expect(failureOf(() => unansweredIn(memory))).toMatchObject({ kind: "unsupported" });
  });

  test("takes nothing from beyond the end of a file that was cut, and no absurd lengths", () => {
    const memory = newJournal();
    const journal = new RequestJournal(memory, 0);
    journal.request.set(frame(1));
    new DataView(memory.buffer).setUint32(8, 0xffff_ffff, true);
    expect(unansweredIn(memory)).toEqual([frame(1)]);
    expect(unansweredIn(memory.slice(0, 5000))).toEqual([]);
    new DataView(journal.request.buffer, journal.request.byteOffset).setUint32(0, 1 << 20, true);
    expect(unansweredIn(memory)).toEqual([]);
  });
});
