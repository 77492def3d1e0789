import { describe, expect, test } from "bun:test";
import { SecretLogins } from "../../src/kubernetes/secret-logins.ts";
import { splitLines } from "../../src/kubernetes/split-lines.ts";
import { rejectionOf } from "../support/failure.ts";

const LOGIN = { username: "user", password: "password" };

function find(keys: readonly string[], host: string, repository?: string) {
  const logins = new SecretLogins();
  logins.set("ns/name", new Map(keys.map((key) => [key, { ...LOGIN, password: key }])));
  const found = logins.find({ host, repository, isRefused: () => false });
  return found !== undefined && "password" in found ? found.password : undefined;
}

describe("SecretLogins", () => {
  test.each([
    { key: "*.example.com", host: "a.example.com" },
    { key: "https://*.example.com/v1/", host: "a.example.com" },
    { key: "a*c.example.com", host: "abbc.example.com" },
    { key: "a*b*c.example.com", host: "a1b2c.example.com" },
    { key: "*.*.com:5000", host: "a.b.com:5000" },
    { key: "*.example.com/team", host: "a.example.com", repository: "team/app" },
  ])("$key is about $host", ({ key, host, repository }) => {
    expect(find([key], host, repository)).toBe(key);
  });

  test.each([
    { key: "*.example.com", host: "example.com" },
    { key: "*.example.com", host: "a.b.example.com" },
    { key: "*.example.com", host: "a.example.com:5000" },
    { key: "*.example.com:5000", host: "a.example.com" },
    { key: "*.com.5000", host: "a.com:5000" },
    { key: "ab*bc.example.com", host: "abc.example.com" },
    { key: "a*b*b.example.com", host: "ab.example.com" },
    { key: "*.example.com/team", host: "a.example.com", repository: "teams/app" },
    { key: "*.example.com/team/app", host: "a.example.com", repository: "team" },
    { key: "*", host: "a.example.com" },
  ])("$key is not about $host", ({ key, host, repository }) => {
    expect(find([key], host, repository)).toBeUndefined();
  });

  test("a name comes before a pattern", () => {
    expect(find(["*.example.com", "a.example.com"], "a.example.com")).toBe("a.example.com");
  });

  test("are bounded in number", () => {
    const logins = new SecretLogins();
    const many = new Map(Array.from({ length: 60_000 }, (_, at) => [`host${at}`, LOGIN]));
    expect(logins.set("ns/a", many)).toBe(true);
    expect(logins.set("ns/b", many)).toBe(false);
    logins.delete("ns/a");
    expect(logins.set("ns/b", many)).toBe(true);
    expect(logins.size).toBe(1);
  });
});

describe("splitLines()", () => {
  async function linesOf(chunks: readonly string[], maxBytes = 10): Promise<readonly string[]> {
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const chunk of chunks) yield Buffer.from(chunk);
    }
    const lines = await Array.fromAsync(splitLines(source(), { maxBytes, what: "it" }));
    return lines.map((line) => Buffer.from(line).toString());
  }

  test.each([
    { chunks: [], lines: [] },
    { chunks: ["a\nb\n"], lines: ["a", "b"] },
    { chunks: ["a", "b\n", "\n\nc"], lines: ["ab", "c"] },
    { chunks: ["0123456789\n0123456789"], lines: ["0123456789", "0123456789"] },
  ])("makes $lines of $chunks", async ({ chunks, lines }) => {
    expect(await linesOf(chunks)).toEqual(lines);
  });

  test("refuses a line that is too long, before its end", async () => {
    expect(await rejectionOf(linesOf(["01234", "567890"]))).toMatchObject({ kind: "data-loss" });
  });
});
