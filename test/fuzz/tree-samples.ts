import fc from "fast-check";
import type { TocEntry } from "../tree/toc-entries.ts";

const part = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("a", "b", "c", "d") },
  { weight: 4, arbitrary: fc.constantFrom("..", ".", "") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ".wh.a",
      ".wh.b",
      ".wh..wh..opq",
      ".wh..wh.plnk",
      ".wh.",
      ".wh...",
      ".wh..",
      ".wh..",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("n".repeat(255), "n".repeat(256), "x\0y", "\u00fc", "\n"),
  },
);
/** Names that try to leave the root, to be whiteouts, to be too long. */
export const hostilePath = fc
  .record({
    root: fc.constantFrom("", "", "", "/", "//", "./", "../"),
    parts: fc.array(part, { maxLength: 6 }),
    times: fc.oneof(
      { weight: 30, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.constant(700) },
    ),
  })
  .map(({ root, parts, times }) => root + new Array(times).fill(parts.join("/")).join("/"));

/** An entry that an attacker might write. */
export const hostileEntry: fc.Arbitrary<TocEntry> = fc.record(
  {
    name: fc.oneof(
      { weight: 9, arbitrary: hostilePath },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }) },
    ),
    linkname: hostilePath,
    type: fc.oneof(
      {
        weight: 20,
        arbitrary: fc.constantFrom("reg", "dir", "dir", "symlink", "symlink", "hardlink"),
      },
      { weight: 3, arbitrary: fc.constantFrom("char", "block", "fifo") },
      { weight: 1, arbitrary: fc.constantFrom("", "other") },
    ),
    mode: fc.constantFrom(0o644, 0o755, 0o6755, 0o2755, 0o177777),
    gid: fc.nat(3),
    devmajor: fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n),
    modTime: fc.constantFrom("", "2020-09-13T12:26:40Z", "0000-01-01T00:00:00Z"),
    xattrs: fc.dictionary(
      fc.constantFrom(
        "SCHILY.xattr.user.a",
        "SCHILY.xattr.user.",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.trusted.overlay.redirect",
        "SCHILY.xattr.security.capability",
        "SCHILY.xattr.user.overlay.whiteout",
        "comment",
      ),
      fc.string({ maxLength: 4 }),
      { maxKeys: 3 },
    ),
  },
  { requiredKeys: ["name"] },
);
/** Layers that fit one another badly. */
export const hostileLayers = fc.array(fc.array(hostileEntry, { maxLength: 14 }), {
  minLength: 1,
  maxLength: 5,
});

const busyPath = fc
  .record({
    root: fc.constantFrom("", "", "", "./", "/"),
    parts: fc.array(
      fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom("a", "b", "c", "d") },
        { weight: 2, arbitrary: fc.constantFrom("..", ".", "", ".wh.a", ".wh..wh..opq") },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    end: fc.constantFrom("", "", "/"),
  })
  .map(({ root, parts, end }) => root + parts.join("/") + end);

/** An entry that is often in the way of another. */
export const busyEntry: fc.Arbitrary<TocEntry> = fc.record(
  {
    name: busyPath,
    linkname: busyPath,
    type: fc.constantFrom("reg", "dir", "dir", "dir", "symlink", "hardlink", "char"),
    mode: fc.constantFrom(0o644, 0o2755),
    gid: fc.nat(3),
    uncompressedSize: fc.nat(9),
    xattrs: fc.dictionary(
      fc.constantFrom("SCHILY.xattr.user.a", "SCHILY.xattr.user.b"),
      fc.constantFrom("1", "2"),
      { maxKeys: 1 },
    ),
  },
  { requiredKeys: ["name", "type"] },
);
