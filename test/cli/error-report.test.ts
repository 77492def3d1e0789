import { describe, expect, test } from "bun:test";
import { formatReport, reportOf } from "../../src/cli/error-report.ts";
import { SociError } from "../../src/errors.ts";

function shown(error: unknown, debug = false): string {
  return formatReport(reportOf(error), { program: "sociable", debug });
}

describe("formatReport()", () => {
  test("shows message, causes on indented lines, and the first hint", () => {
    const root = new Error("connect refused");
    const http = new SociError("unavailable", "Cannot GET http://r/v2/", {
      cause: root,
      hint: "is the registry running?",
    });
    const error = new SociError("unavailable", "Cannot open image", { cause: http });
    expect(shown(error)).toBe(
      "sociable: Cannot open image\n  Cannot GET http://r/v2/\n  connect refused\nhint: is the registry running?\n",
    );
  });

  test("leaves out a cause that only repeats what is said", () => {
    const error = new SociError("data-loss", "Cannot read: bad magic", {
      cause: new Error("bad magic"),
    });
    expect(shown(error)).toBe("sociable: Cannot read: bad magic\n");
  });

  test("names the code of a cause whose message lacks it", () => {
    const cause = Object.assign(new Error("Unable to connect"), { code: "ConnectionRefused" });
    const error = new SociError("unavailable", "Cannot reach it", { cause });
    expect(shown(error)).toContain("  Unable to connect (ConnectionRefused)\n");
  });

  test("shows what came first of a SuppressedError, then what came of it", () => {
    const error = new SuppressedError(
      new Error("cannot close"),
      new SociError("not-found", "Cannot find it", { hint: "look elsewhere" }),
    );
    expect(shown(error)).toBe("sociable: Cannot find it\n  cannot close\nhint: look elsewhere\n");
  });

  test("shows every error of an AggregateError", () => {
    const cause = new AggregateError([new Error("first"), new Error("second")], "both failed");
    const error = new SociError("unavailable", "Cannot", { cause });
    expect(shown(error)).toBe("sociable: Cannot\n  both failed\n  first\n  second\n");
  });

  test("ends on a chain that is a circle", () => {
    const error = new Error("a");
    error.cause = new Error("b", { cause: error });
    expect(reportOf(error).causes).toEqual(["b"]);
  });

  test("makes hostile text harmless", () => {
    const error = new SociError("not-found", "Cannot find \u001b[2J\nsociable: all is well");
    expect(shown(error)).toBe("sociable: Cannot find \\x1b[2J\\nsociable: all is well\n");
  });

  test("calls an unknown exception a bug, without its stack", () => {
    expect(shown(new TypeError("x is undefined"))).toBe(
      "sociable: Internal error, please report it: x is undefined\nhint: --log-level debug shows where it happened\n",
    );
  });

  test("shows the stack of a bug when debugging", () => {
    expect(shown(new TypeError("x is undefined"), true)).toContain("error-report.test.ts");
  });

  test("calls a system error by its name, not a bug", async () => {
    const error = await Bun.file("/proc/nonexistent/file")
      .text()
      .catch((cause: unknown) => cause);
    expect(shown(error)).toContain("ENOENT");
    expect(shown(error)).not.toContain("Internal error");
  });

  test("calls a deadline no bug", () => {
    const error = new DOMException("The operation timed out.", "TimeoutError");
    expect(shown(error)).toBe("sociable: The operation timed out.\n");
  });

  test("shows what is thrown and no error", () => {
    expect(shown("just text")).toContain("just text");
  });
});
