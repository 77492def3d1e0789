import { describe, expect, test } from "bun:test";
import { joinScopes, repositoryScope, scopesCover } from "../../src/oci/auth-scope.ts";
import { parseReference } from "../../src/oci/reference.ts";

const { repository } = parseReference("team/app");

describe("repositoryScope()", () => {
  test("joins actions with commas", () => {
    expect(repositoryScope(repository, ["pull", "push"])).toBe("repository:team/app:pull,push");
  });
});

describe("scopesCover()", () => {
  test.each([
    { title: "the same scope", have: ["repository:a:pull"], want: ["repository:a:pull"], is: true },
    {
      title: "fewer actions",
      have: ["repository:a:pull,push"],
      want: ["repository:a:pull"],
      is: true,
    },
    {
      title: "more actions",
      have: ["repository:a:pull"],
      want: ["repository:a:pull,push"],
      is: false,
    },
    {
      title: "another repository",
      have: ["repository:a:pull"],
      want: ["repository:b:pull"],
      is: false,
    },
    {
      title: "two scopes by two",
      have: ["repository:a:pull,push", "repository:b:pull"],
      want: ["repository:b:pull", "repository:a:push"],
      is: true,
    },
    {
      title: "two scopes by one",
      have: ["repository:a:pull"],
      want: ["repository:a:pull", "repository:b:pull"],
      is: false,
    },
    {
      title: "a name with a port",
      have: ["repository:h:5000/a:pull,push"],
      want: ["repository:h:5000/a:push"],
      is: true,
    },
    { title: "a scope without colons", have: ["aws"], want: ["aws"], is: true },
    { title: "no scope", have: [], want: ["aws"], is: false },
  ])("$title: $is", ({ have, want, is }) => {
    expect(scopesCover(have, want)).toBe(is);
  });
});

describe("joinScopes()", () => {
  test("adds what the registry names beyond ours, once", () => {
    expect(joinScopes(["repository:a:pull"], "aws repository:a:pull aws  x:y:z")).toEqual([
      "repository:a:pull",
      "aws",
      "x:y:z",
    ]);
  });

  test("adds nothing that ours cover", () => {
    expect(joinScopes(["repository:a:pull,push"], "repository:a:pull")).toEqual([
      "repository:a:pull,push",
    ]);
  });

  test("bounds what a registry can add", () => {
    const many = Array.from({ length: 1000 }, (_, i) => `s${i}`).join(" ");
    expect(joinScopes(["repository:a:pull"], many).length).toBe(17);
  });
});
