import { expect, test } from "bun:test";
import fc from "fast-check";
import { byteNameOfText, bytesOfName } from "../../src/tree/byte-name.ts";
import { resolvePath } from "../../src/tree/resolve-path.ts";
import { directory, file, merged, nodeAt, symlink } from "./toc-entries.ts";

const tree = merged(
  [
    directory("usr/bin"),
    file("usr/bin/env"),
    symlink("bin", "usr/bin"),
    symlink("abs", "/usr/bin/env"),
    symlink("usr/up", "../../../../usr/./bin"),
    symlink("loop", "loop"),
    symlink("dangling", "nowhere"),
    symlink("root", "/"),
    file("é"),
  ],
  [symlink("etc/tool", "../bin/env")],
);

const text = (path: string) => byteNameOfText(path);

test.each([
  { title: "a plain path", path: "usr/bin/env", want: "usr/bin/env" },
  { title: "an absolute path", path: "/usr/bin/env", want: "usr/bin/env" },
  { title: "the root", path: "/", want: "" },
  { title: "nothing as the root", path: "", want: "" },
  { title: "dots and double slashes", path: "//usr/./bin//env", want: "usr/bin/env" },
  { title: ".. of the root as the root", path: "../../usr", want: "usr" },
  { title: "a directory through a symlink", path: "bin/env", want: "usr/bin/env" },
  { title: "an absolute symlink", path: "abs", want: "usr/bin/env" },
  { title: "a symlink that climbs past the root", path: "usr/up/env", want: "usr/bin/env" },
  { title: "a symlink to a symlink, across layers", path: "etc/tool", want: "usr/bin/env" },
  { title: ".. of where a symlink leads", path: "bin/../up", want: "usr/bin" },
  { title: "a symlink to the root", path: "root/usr", want: "usr" },
  { title: "a directory with a slash", path: "usr/bin/", want: "usr/bin" },
])("resolvePath() finds $title", ({ path, want }) => {
  const found = resolvePath(tree, text(path));
  expect(found.path).toBe(text(want));
  expect(found.node).toBe(nodeAt(tree, want) as typeof found.node);
});

test("resolvePath() leaves a last symlink alone when asked to", () => {
  const { node } = resolvePath(tree, text("bin"), { followLast: false });
  expect(tree.attributes(node).type).toBe("symlink");
});

test("resolvePath() follows a last symlink with a slash after it in any case", () => {
  expect(resolvePath(tree, text("bin/"), { followLast: false }).path).toBe(text("usr/bin"));
});

test.each([
  { title: "a missing name", path: "usr/nothing" },
  { title: "a name in a missing directory", path: "nothing/a" },
  { title: "a name in a file", path: "usr/bin/env/a" },
  { title: "a file with a slash", path: "usr/bin/env/" },
  { title: ".. of a file", path: "usr/bin/env/.." },
  { title: "a dangling symlink", path: "dangling" },
])("resolvePath() throws not-found for $title", ({ path }) => {
  expect(() => resolvePath(tree, text(path))).toThrow(
    expect.objectContaining({ kind: "not-found" }),
  );
});

test("resolvePath() throws failed-precondition for a loop", () => {
  expect(() => resolvePath(tree, text("loop/a"))).toThrow(
    expect.objectContaining({ kind: "failed-precondition" }),
  );
});

test("resolvePath() follows 40 symlinks and no more", () => {
  const links = Array.from({ length: 41 }, (_, i) => symlink(`l${i}`, `l${i + 1}`));
  const chain = merged([...links, file("l41")]);
  expect(resolvePath(chain, text("l1")).path).toBe(text("l41"));
  expect(() => resolvePath(chain, text("l0"))).toThrow(/more than 40 symlinks/);
});

test("resolvePath() compares names as bytes", () => {
  const { path } = resolvePath(tree, text("/é"));
  expect([...bytesOfName(path)]).toEqual([0xc3, 0xa9]);
});

test("resolvePath() ends for any path over any symlinks, inside the tree", () => {
  const name = fc.constantFrom("a", "b", "c");
  const target = fc
    .array(fc.constantFrom("a", "b", "c", "..", ".", ""), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join("/"))
    .filter((path) => path !== "");
  const entry = fc.oneof(
    name.map((n) => directory(n)),
    fc.tuple(name, target).map(([n, t]) => symlink(n, t)),
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), target, (entries, path) => {
      const random = merged(entries);
      try {
        const found = resolvePath(random, text(path));
        expect(resolvePath(random, found.path).node).toBe(found.node);
        expect(random.attributes(found.node).type).not.toBe("symlink");
      } catch (error) {
        expect(error).toHaveProperty("kind");
      }
    }),
  );
});
