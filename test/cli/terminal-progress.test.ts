import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatProgressLine } from "../../src/cli/progress-line.ts";
import { TerminalProgress } from "../../src/cli/terminal-progress.ts";
import { FakeIo } from "./fake-io.ts";

const ERASE_LINE = "\u001b[1A\u001b[2K";

/** A terminal whose clock goes on by `tick()`. */
function fakeTerminal({ isTty = true, columns = 80, rows = 24 } = {}) {
  const io = new FakeIo({ stderrIsTty: isTty, columns, rows });
  let nowMs = 0;
  let running: (() => void) | undefined;
  const progress = new TerminalProgress(io.stderr, {
    now: () => nowMs,
    every: (_ms, onTick) => {
      running = onTick;
      return () => {
        running = undefined;
      };
    },
  });
  let seen = 0;
  return {
    progress,
    isRunning: () => running !== undefined,
    tick(ms = 100) {
      nowMs += ms;
      running?.();
    },
    /** What has been written since the last call. */
    written() {
      const text = io.stderrText.slice(seen);
      seen = io.stderrText.length;
      return text;
    },
  };
}

describe("TerminalProgress", () => {
  test("draws nothing before the first tick", () => {
    const { progress, written } = fakeTerminal();
    progress.item("layer").add(10);
    expect(written()).toBe("");
  });

  test("draws name, bytes, total, share, rate and time left", () => {
    const { progress, tick, written } = fakeTerminal();
    const item = progress.item("layer", { totalBytes: 4096 });
    item.add(1024);
    tick(1000);
    expect(written()).toBe("layer  1.0 KiB / 4.0 KiB  25%  1.0 KiB/s  ETA 3s\n");
  });

  test("replaces its picture at the next tick", () => {
    const { progress, tick, written } = fakeTerminal();
    progress.item("a");
    progress.item("b");
    tick();
    written();
    tick();
    expect(written()).toStartWith(ERASE_LINE.repeat(2));
  });

  test("takes an ended item away and counts it", () => {
    const { progress, tick, written } = fakeTerminal();
    const first = progress.item("first");
    progress.item("second");
    first.end();
    first.end();
    tick();
    expect(written()).toMatch(/^second .*\n1 done\n$/);
  });

  test("takes its picture away with the last item, before a result goes to a pipe", () => {
    const { progress, tick, written } = fakeTerminal();
    const items = [progress.item("first"), progress.item("second")];
    tick();
    items[0]?.end();
    tick();
    written();
    items[1]?.end();
    expect(written()).toBe(ERASE_LINE.repeat(2));
    tick();
    expect(written()).toBe("");
  });

  test("shows no more lines than the terminal has rows", () => {
    const { progress, tick, written } = fakeTerminal({ rows: 5 });
    for (let i = 0; i < 20; i += 1) progress.item(`layer ${i}`);
    tick();
    const lines = written().trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toBe("0 done, 17 more");
  });

  test("writes a log line above its picture", () => {
    const { progress, tick, written } = fakeTerminal();
    progress.item("layer");
    tick();
    written();
    progress.writeAbove("a line\n");
    expect(written()).toBe(`${ERASE_LINE}a line\n`);
    tick();
    expect(written()).toStartWith("layer");
  });

  test("waits while another stream stands in the middle of a line", () => {
    const { progress, tick, written } = fakeTerminal();
    progress.item("layer");
    progress.aboutToWrite("no newline");
    tick();
    expect(written()).toBe("");
    progress.aboutToWrite(Buffer.from(" yet\n"));
    tick();
    expect(written()).toStartWith("layer");
  });

  test("erases its picture and stops its timer when disposed, once", () => {
    const { progress, tick, written, isRunning } = fakeTerminal();
    progress.item("layer");
    tick();
    written();
    progress[Symbol.dispose]();
    progress[Symbol.dispose]();
    expect(written()).toBe(ERASE_LINE);
    expect(isRunning()).toBe(false);
  });

  test("draws nothing and starts no timer where there is no terminal", () => {
    const { progress, tick, written, isRunning } = fakeTerminal({ isTty: false });
    progress.item("layer").add(5);
    tick();
    expect(isRunning()).toBe(false);
    expect(written()).toBe("");
  });

  test("still writes log lines where there is no terminal", () => {
    const { progress, written } = fakeTerminal({ isTty: false });
    progress.writeAbove("a line\n");
    expect(written()).toBe("a line\n");
  });

  test("shows the rate going down while nothing arrives", () => {
    const { progress, tick, written } = fakeTerminal();
    const item = progress.item("layer", { totalBytes: 1 << 30 });
    item.add(10 << 20);
    tick(1000);
    expect(written()).toContain("10.0 MiB/s");
    for (let i = 0; i < 100; i += 1) tick(300);
    expect(written()).toMatch(/ 0 B\/s\n$|[0-9.]+ B\/s[^\n]*\n$/);
  });
});

describe("formatProgressLine()", () => {
  test("makes a hostile name harmless", () => {
    const state = { name: "\u001b[2Jx\n", bytes: 1, totalBytes: undefined, rate: undefined };
    expect(formatProgressLine(state, { columns: 80 })).toBe("\\x1b[2Jx\\n  1 B");
  });

  test("never fills or passes the terminal's last column", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme" }),
        fc.maxSafeNat(),
        fc.option(fc.maxSafeNat(), { nil: undefined }),
        fc.option(fc.double({ min: 0, max: 1e12, noNaN: true }), { nil: undefined }),
        fc.integer({ min: 2, max: 200 }),
        (name, bytes, totalBytes, rate, columns) => {
          const line = formatProgressLine({ name, bytes, totalBytes, rate }, { columns });
          expect(Bun.stringWidth(line)).toBeLessThan(columns);
        },
      ),
    );
  });
});
