import { expect, test } from "bun:test";
import { type ErrorKind, SociError } from "../../src/errors.ts";
import { failureOf, type LayerRefusal, refusalOf } from "../../src/image/layer-outcome.ts";

const REASONS: readonly { readonly kind: ErrorKind; readonly reason: LayerRefusal }[] = [
  { kind: "not-found", reason: "registry" },
  { kind: "unauthenticated", reason: "registry" },
  { kind: "permission-denied", reason: "registry" },
  { kind: "unavailable", reason: "registry" },
  { kind: "data-loss", reason: "data" },
  { kind: "unsupported", reason: "data" },
  { kind: "failed-precondition", reason: "no-room" },
  { kind: "internal", reason: "internal" },
];

test.each(REASONS)("refusalOf() calls $kind $reason, and keeps the error", ({ kind, reason }) => {
  const error = new SociError(kind, "Cannot do it");
  const refused = refusalOf(error);
  expect(refused).toEqual({ kind: "refused", reason, detail: "Cannot do it", error });
  expect(failureOf(refused)).toBe(error);
});

const DISKS: readonly { readonly title: string; code: string; reason: LayerRefusal }[] = [
  { title: "a full disk", code: "ENOSPC", reason: "no-room" },
  { title: "a used-up quota", code: "EDQUOT", reason: "no-room" },
  { title: "a broken disk", code: "EIO", reason: "internal" },
];

test.each(DISKS)("refusalOf() calls $title $reason", ({ code, reason }) => {
  const cause = Object.assign(new Error(code), { code });
  const error = new SociError("failed-precondition", "Cannot keep it", { cause });
  expect(refusalOf(error).reason).toBe(reason);
});

test("refusalOf() calls any other exception internal", () => {
  expect(refusalOf(new TypeError("x"))).toMatchObject({ reason: "internal", detail: "x" });
});

test("failureOf() makes an error where nothing has failed", () => {
  expect(failureOf({ kind: "refused", reason: "no-index", detail: "none" })).toMatchObject({
    kind: "not-found",
    message: "none",
  });
});
