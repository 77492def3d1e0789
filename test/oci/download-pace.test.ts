import { describe, expect, test } from "bun:test";
import { DownloadPace } from "../../src/oci/download-pace.ts";

describe("DownloadPace.broke()", () => {
  test("lets a server go on that gives a little and hangs up at once", () => {
    const pace = new DownloadPace();
    for (let i = 0; i < 500; i++) expect(pace.broke(1, 100)).toBe(true);
    expect(pace.broke(0, 100)).toBe(false);
  });

  test("says no to one that has given less than a byte a millisecond for a minute, as long as it does", () => {
    const pace = new DownloadPace();
    expect(pace.broke(100, 30_000)).toBe(true);
    for (let i = 0; i < 10; i++) expect(pace.broke(29_000, 30_000)).toBe(false);
    expect(pace.broke(1_000_000, 30_000)).toBe(true);
    expect(pace.broke(100, 30_000)).toBe(true);
  });

  test("lets a slow line go on however long it takes", () => {
    const pace = new DownloadPace();
    for (let i = 0; i < 100; i++) expect(pace.broke(300_000, 300_000)).toBe(true);
  });

  test("says no to what brings nothing, whatever came before", () => {
    const pace = new DownloadPace();
    expect(pace.broke(0, 10)).toBe(false);
    expect(pace.broke(10_000_000, 59_000)).toBe(true);
    expect(pace.broke(0, 30_000)).toBe(false);
  });
});
