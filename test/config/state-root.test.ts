import { describe, expect, test } from "bun:test";
import { defaultStateRoot } from "../../src/config/state-root.ts";

describe("defaultStateRoot()", () => {
  test.each([
    {
      title: "root",
      uid: 0,
      env: { HOME: "/root", XDG_DATA_HOME: "/x" },
      root: "/var/lib/sociable",
    },
    {
      title: "a user with XDG_DATA_HOME",
      uid: 1000,
      env: { HOME: "/home/u", XDG_DATA_HOME: "/data" },
      root: "/data/sociable",
    },
    {
      title: "a user without it",
      uid: 1000,
      env: { HOME: "/home/u" },
      root: "/home/u/.local/share/sociable",
    },
    {
      title: "a user with a relative XDG_DATA_HOME",
      uid: 1000,
      env: { HOME: "/home/u", XDG_DATA_HOME: "data" },
      root: "/home/u/.local/share/sociable",
    },
    {
      title: "a user with an empty XDG_DATA_HOME",
      uid: 1000,
      env: { HOME: "/home/u", XDG_DATA_HOME: "" },
      root: "/home/u/.local/share/sociable",
    },
  ])("of $title is $root", ({ uid, env, root }) => {
    expect(defaultStateRoot({ uid, env })).toBe(root);
  });

  test.each([
    { title: "no home", env: {} },
    { title: "a relative home", env: { HOME: "home/u" } },
  ])("is refused to a user with $title, with a hint at --root", ({ env }) => {
    expect(() => defaultStateRoot({ uid: 1000, env })).toThrow(
      expect.objectContaining({
        kind: "failed-precondition",
        hint: expect.stringContaining("--root"),
      }),
    );
  });
});
