import { expect, test } from "bun:test";
import type { ByteName } from "../../src/tree/byte-name.ts";
import { followSymlinks } from "../../src/tree/layer-path.ts";
import { directory, layer, symlink } from "./toc-entries.ts";

const names = (path: string) => path.split("/") as ByteName[];

test("followSymlinks() takes names that do not exist as they are", () => {
  const { root } = layer(symlink("a", "b/c"));
  expect(followSymlinks(root, names("a/d/e"), { left: 100 })).toEqual(names("b/c/d/e"));
});

test("followSymlinks() takes what symlinks add out of the budget", () => {
  const budget = { left: 100 };
  followSymlinks(layer(symlink("a", "b/c")).root, names("a/d"), budget);
  expect(budget.left).toBe(100 - 3 - 3);
});

test("followSymlinks() stops when the budget is used up", () => {
  const { root } = layer(symlink("a", "b/c"));
  expect(() => followSymlinks(root, names("a/d"), { left: 5 })).toThrow(
    expect.objectContaining({ kind: "data-loss" }),
  );
});

test("followSymlinks() follows 255 symlinks and no more", () => {
  const links = Array.from({ length: 256 }, (_, i) => symlink(`l${i}`, `l${i + 1}`));
  const { root } = layer(...links, directory("l256"));
  expect(followSymlinks(root, names("l1"), { left: 1_000_000 })).toEqual(names("l256"));
  expect(() => followSymlinks(root, names("l0"), { left: 1_000_000 })).toThrow(
    /more than 255 symlinks/,
  );
});

test("followSymlinks() refuses a path that grows past PATH_MAX", () => {
  const long = `${"d".repeat(200)}/`.repeat(12);
  const { root } = layer(symlink("a", long), symlink(`${long}b`, long));
  expect(() => followSymlinks(root, names(`${long}b/${long}x`), { left: 1_000_000 })).toThrow(
    /over 4095 bytes/,
  );
});
