import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { sysClose, sysEventfd, sysRead, sysWrite } from "../../src/sys/libc.ts";
import { receiveDescriptors, sendDescriptors, socketPair } from "../../src/sys/pass-descriptors.ts";

let one: number;
let other: number;

beforeEach(() => {
  [one, other] = socketPair();
});

afterEach(() => {
  sysClose(one);
  sysClose(other);
});

const openCount = (): number => readdirSync("/proc/self/fd").length;

describe("descriptors over a socket", () => {
  test.each([1, 2, 5])("%p arrive, with their message", (count) => {
    const files = Array.from({ length: count }, () => sysEventfd());
    sendDescriptors(one, files, Buffer.from("hello"));
    const received = receiveDescriptors(other, { maxBytes: 100, maxDescriptors: 8 });
    expect(Buffer.from(received?.bytes ?? []).toString()).toBe("hello");
    expect(received?.descriptors).toHaveLength(count);
    for (const [i, fd] of (received?.descriptors ?? []).entries()) {
      sysWrite(fd, Uint8Array.of(i + 1, 0, 0, 0, 0, 0, 0, 0));
      const value = new Uint8Array(8);
      sysRead(files[i] ?? -1, value);
      expect(value[0]).toBe(i + 1);
      sysClose(fd);
    }
    for (const fd of files) sysClose(fd);
  });

  test("receiveDescriptors() does not wait", () => {
    expect(receiveDescriptors(other)).toBeUndefined();
  });

  test("receiveDescriptors() gets a message without any, and the other side's end", () => {
    sysWrite(one, Buffer.from("x"));
    expect(receiveDescriptors(other)).toMatchObject({ descriptors: [] });
    sysClose(one);
    expect(receiveDescriptors(other)).toEqual({ bytes: new Uint8Array(0), descriptors: [] });
    one = -1;
  });

  test("receiveDescriptors() refuses more than it has room for, and keeps none open", () => {
    const files = Array.from({ length: 6 }, () => sysEventfd());
    const before = openCount();
    sendDescriptors(one, files);
    expect(() => receiveDescriptors(other, { maxDescriptors: 2 })).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
    expect(openCount()).toBe(before);
    for (const fd of files) sysClose(fd);
  });

  test("sendDescriptors() refuses none, or no bytes to carry them", () => {
    expect(() => sendDescriptors(one, [])).toThrow(RangeError);
    expect(() => sendDescriptors(one, [one], new Uint8Array(0))).toThrow(RangeError);
  });

  test("sendDescriptors() fails when nobody listens", () => {
    sysClose(other);
    expect(() => sendDescriptors(one, [one])).toThrow(
      expect.objectContaining({ kind: "unavailable" }),
    );
    other = -1;
  });
});
