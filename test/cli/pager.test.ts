import { describe, expect, test } from "bun:test";
import { Interrupt, OutputClosed, type OutputStream } from "../../src/cli/cli-io.ts";
import { pagerCommand, withPager } from "../../src/cli/pager.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { FakeIo, type FakeIoOptions } from "./fake-io.ts";

const PATH = process.env["PATH"] ?? "";

function terminal(pager: string | undefined, options: FakeIoOptions = {}): FakeIo {
  const { env, ...others } = options;
  return new FakeIo({
    stdoutIsTty: true,
    cwd: process.cwd(),
    ...others,
    env: { PATH, ...(pager === undefined ? {} : { PAGER: pager }), ...env },
  });
}

const PAGED = { "no-pager": false };

async function* endless(out: OutputStream): AsyncGenerator<void> {
  for (;;) yield await out.write("line\n".repeat(10_000));
}

describe("pagerCommand()", () => {
  test.each([
    { title: "takes PAGER as it is", pager: "less -S", want: "less -S" },
    { title: "takes an empty PAGER for none", pager: "  ", want: undefined },
    { title: "takes cat for none", pager: "cat", want: undefined },
  ])("$title", ({ pager, want }) => {
    expect(pagerCommand(terminal(pager))).toBe(want);
  });

  test("takes less where PAGER is not set and there is one", async () => {
    await using dir = await tempDir();
    expect(pagerCommand(terminal(undefined, { env: { PATH: dir.path } }))).toBeUndefined();
    await Bun.write(dir.join("less"), "#!/bin/sh\n");
    await Bun.$`chmod 755 ${dir.join("less")}`.quiet();
    expect(pagerCommand(terminal(undefined, { env: { PATH: dir.path } }))).toBe("less");
  });

  test.each([
    { title: "standard output is no terminal", options: { stdoutIsTty: false } },
    { title: "the terminal is dumb", options: { env: { TERM: "dumb" } } },
  ])("wants none where $title", ({ options }) => {
    expect(pagerCommand(terminal("less", options))).toBeUndefined();
  });
});

describe("withPager()", () => {
  test("sends all of the output through the pager, and waits for it", async () => {
    await using dir = await tempDir();
    const io = terminal(`sleep 0.1; cat > '${dir.join("out")}'`);
    await withPager({ io, flags: PAGED }, async (out) => {
      await out.write("first ");
      await out.write(Buffer.from("second\n"));
    });
    expect(await Bun.file(dir.join("out")).text()).toBe("first second\n");
    expect(io.stdoutText).toBe("");
  });

  test("lets less quit on one screen and show styles, unless LESS says otherwise", async () => {
    await using dir = await tempDir();
    const pager = `cat > /dev/null; printf '%s' "$LESS" > '${dir.join("less")}'`;
    const show = async (env: Readonly<Record<string, string>>): Promise<string> => {
      await withPager({ io: terminal(pager, { env }), flags: PAGED }, (out) => out.write("x"));
      return await Bun.file(dir.join("less")).text();
    };
    expect(await show({})).toBe("FRX");
    expect(await show({ LESS: "S" })).toBe("S");
  });

  test("starts no pager for no output", async () => {
    await using dir = await tempDir();
    const io = terminal(`touch '${dir.join("started")}'`);
    const error = new Error("not there");
    const failed = withPager({ io, flags: PAGED }, async (out) => {
      await out.write("");
      throw error;
    });
    expect(await rejectionOf(failed)).toBe(error);
    expect(await Bun.file(dir.join("started")).exists()).toBe(false);
  });

  test.each([
    { title: "--no-pager", flags: { "no-pager": true } },
    { title: "--json", flags: { "no-pager": false, json: true } },
  ])("writes to standard output with $title", async ({ flags }) => {
    const io = terminal("false");
    await withPager({ io, flags }, (out) => out.write("text\n"));
    expect(io.stdoutText).toBe("text\n");
  });

  test("ends as with a closed output when the user leaves the pager early", async () => {
    const io = terminal("head -n 1 > /dev/null");
    const work = withPager({ io, flags: PAGED }, async (out) => {
      for await (const _ of endless(out));
    });
    expect(await rejectionOf(work)).toBeInstanceOf(OutputClosed);
  });

  test("says so when the pager cannot be run", async () => {
    const io = terminal("/nonexistent/pager 2> /dev/null");
    const work = withPager({ io, flags: PAGED }, (out) => out.write("text\n"));
    expect(await rejectionOf(work)).toMatchObject({ kind: "failed-precondition" });
  });

  test("ends the pager with the command on SIGTERM", async () => {
    const abort = new AbortController();
    const io = terminal("exec sleep 600", { signal: abort.signal });
    const reason = new Interrupt("SIGTERM");
    const work = withPager({ io, flags: PAGED }, async (out) => {
      await out.write("text\n");
      abort.abort(reason);
      await out.write("more\n");
    });
    expect(await rejectionOf(work)).toBe(reason);
  });

  test("leaves the pager to the user on SIGINT", async () => {
    await using dir = await tempDir();
    const abort = new AbortController();
    const io = terminal(`cat > '${dir.join("out")}'; echo end >> '${dir.join("out")}'`, {
      signal: abort.signal,
    });
    const work = withPager({ io, flags: PAGED }, async (out) => {
      await out.write("text\n");
      abort.abort(new Interrupt("SIGINT"));
      await out.write("more\n");
    });
    expect(await rejectionOf(work)).toBeInstanceOf(Interrupt);
    expect(await Bun.file(dir.join("out")).text()).toBe("text\nend\n");
  });
});
