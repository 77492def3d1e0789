import { describe, expect, test } from "bun:test";
import { Interrupt, OutputClosed } from "../../src/cli/cli-io.ts";
import { exitCodeOf } from "../../src/cli/exit-code.ts";
import { SociError } from "../../src/errors.ts";

describe("exitCodeOf()", () => {
  test.each([
    { title: "invalid-argument", error: new SociError("invalid-argument", "x"), code: 2 },
    { title: "not-found", error: new SociError("not-found", "x"), code: 1 },
    { title: "already-exists", error: new SociError("already-exists", "x"), code: 1 },
    { title: "failed-precondition", error: new SociError("failed-precondition", "x"), code: 1 },
    { title: "unauthenticated", error: new SociError("unauthenticated", "x"), code: 1 },
    { title: "permission-denied", error: new SociError("permission-denied", "x"), code: 1 },
    { title: "unavailable", error: new SociError("unavailable", "x"), code: 1 },
    { title: "data-loss", error: new SociError("data-loss", "x"), code: 1 },
    { title: "unsupported", error: new SociError("unsupported", "x"), code: 1 },
    { title: "internal", error: new SociError("internal", "x"), code: 1 },
    { title: "an unknown exception", error: new TypeError("x"), code: 1 },
    { title: "what is no error", error: "x", code: 1 },
    { title: "SIGINT", error: new Interrupt("SIGINT"), code: 130 },
    { title: "SIGTERM", error: new Interrupt("SIGTERM"), code: 143 },
    { title: "SIGHUP", error: new Interrupt("SIGHUP"), code: 129 },
    {
      title: "SIGINT on which closing failed, twice",
      error: new SuppressedError("x", new SuppressedError("y", new Interrupt("SIGINT"))),
      code: 130,
    },
    { title: "a reader that went away", error: new OutputClosed(), code: 0 },
  ])("is $code for $title", ({ error, code }) => {
    expect(exitCodeOf(error)).toBe(code);
  });
});
