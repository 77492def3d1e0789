import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { parseHostsFile } from "../../src/oci/hosts-file.ts";
import { failureOf, messagesOf } from "../support/failure.ts";

const DIRECTORY = "/etc/certs.d/example.com";

function parse(text: string) {
  const path = `${DIRECTORY}/hosts.toml`;
  return parseHostsFile(new TextEncoder().encode(text), { path, directory: DIRECTORY });
}

function mirrorOf(settings: string) {
  return parse(`[host."https://mirror.example"]\n${settings}`).mirrors[0];
}

describe("parseHostsFile()", () => {
  test("gives mirrors in the order of the file, the server apart", () => {
    const { mirrors, server } = parse(`
      server = "https://upstream.example"
      [host."https://z.example"]
      [host."http://a.example:5000"]
      [host."m.example"]
    `);
    expect(mirrors.map(({ api }) => api.href)).toEqual([
      "https://z.example/v2/",
      "http://a.example:5000/v2/",
      "https://m.example/v2/",
    ]);
    expect(server.api?.href).toBe("https://upstream.example/v2/");
  });

  test.each([
    { url: "https://h/some/path", settings: "", api: "https://h/some/path/v2/" },
    { url: "https://h/some/v2", settings: "", api: "https://h/some/v2/" },
    { url: "https://h/v2/", settings: "", api: "https://h/v2/" },
    { url: "https://h//a//b/", settings: "", api: "https://h/a/b/v2/" },
    { url: "https://h/a/../b", settings: "", api: "https://h/b/v2/" },
    { url: "https://h/some/path", settings: "override_path = true", api: "https://h/some/path/" },
    { url: "https://h", settings: "override_path = true", api: "https://h/" },
  ])("makes $api of $url $settings", ({ url, settings, api }) => {
    expect(parse(`[host."${url}"]\n${settings}`).mirrors[0]?.api.href).toBe(api);
  });

  test.each([
    { settings: "", capabilities: ["pull", "resolve", "push", "referrers"] },
    { settings: "capabilities = []", capabilities: ["pull", "resolve", "push", "referrers"] },
    { settings: 'capabilities = ["resolve"]', capabilities: ["resolve"] },
    { settings: 'capabilities = ["pull"]', capabilities: ["pull", "referrers"] },
    {
      settings: 'capabilities = ["Push", "PULL"]',
      capabilities: ["pull", "push", "referrers"],
    },
  ])("reads $settings", ({ settings, capabilities }) => {
    expect([...(mirrorOf(settings)?.capabilities ?? [])].join()).toBe(capabilities.join());
  });

  test("gives the registry itself every capability when no server is named", () => {
    const { server } = parse('capabilities = ["pull"]\nskip_verify = true');
    expect(server.api).toBeUndefined();
    expect(server.capabilities.has("push")).toBe(true);
    expect(server.tls.skipVerify).toBe(true);
  });

  test.each([
    { settings: 'ca = "ca.pem"', tls: { ca: [`${DIRECTORY}/ca.pem`] } },
    {
      settings: 'ca = ["/etc/ca.pem", "../b.pem"]',
      tls: { ca: ["/etc/ca.pem", "/etc/certs.d/b.pem"] },
    },
    { settings: 'client = "both.pem"', tls: { client: { cert: `${DIRECTORY}/both.pem` } } },
    {
      settings: 'client = ["a.pem", "b.pem"]',
      tls: { client: { cert: `${DIRECTORY}/a.pem` } },
    },
    {
      settings: 'client = [["c.pem", "k.pem"], ["d.pem", "l.pem"]]',
      tls: { client: { cert: `${DIRECTORY}/c.pem`, key: `${DIRECTORY}/k.pem` } },
    },
    { settings: "client = []", tls: { client: undefined } },
    { settings: "skip_verify = true", tls: { skipVerify: true } },
    { settings: "skip_verify = false", tls: { skipVerify: false } },
  ])("reads $settings", ({ settings, tls }) => {
    expect(mirrorOf(settings)?.tls).toMatchObject(tls);
  });

  test("reads headers, names in lower case, several values joined", () => {
    const mirror = mirrorOf('[host."https://mirror.example".header]\nX-A = "b"\nx-c = ["d", "e"]');
    expect(mirror?.headers).toEqual({ "x-a": "b", "x-c": "d, e" });
  });

  test("leaves settings alone that it does not know", () => {
    expect(parse('future = 1\n[host."https://m"]\nrewrite = {a = 1}').mirrors.length).toBe(1);
  });

  test("has nothing but the registry itself in an empty file", () => {
    expect(parse("")).toMatchObject({ mirrors: [], server: { api: undefined, headers: {} } });
  });

  test.each([
    { title: "no TOML", text: 'a = "s3cr3t\n[', says: "line 1" },
    {
      title: "a key set twice",
      text: 'server = "https://a"\nserver = "s3cr3t"',
      says: "line 2",
    },
    { title: "a server of a number", text: "\nserver = 1", says: "line 2: server is a number" },
    { title: "a server of another protocol", text: 'server = "https:s3cr3t@x"', says: "server" },
    {
      title: "a URL with a password",
      text: '[host."https://u:s3cr3t@h"]',
      says: "line 1: host has a name",
    },
    { title: "a URL with a query", text: 'server = "https://h/?a=s3cr3t"', says: "server" },
    { title: "no URL at all", text: '[host."https://"]', says: "line 1: host has a name" },
    { title: "hosts of a list", text: "\n\nhost = []", says: "line 3: host is an array" },
    { title: "a host of a number", text: '[host]\n"https://h" = 1', says: "line 2" },
    {
      title: "capabilities of a number",
      text: '[host."https://h"]\n\ncapabilities = 1',
      says: 'line 3: host."https://h".capabilities holds a number',
    },
    {
      title: "a capability that there is not",
      text: '[host."https://h"]\ncapabilities = ["pull", "steal"]',
      says: 'line 2: host."https://h".capabilities may hold',
    },
    {
      title: "skip_verify of a string",
      text: '[host."https://h"]\nskip_verify = "no"',
      says: "line 2",
    },
    { title: "a ca of a number", text: "ca = 5", says: "line 1: ca holds a number" },
    { title: "a ca of a list of lists", text: 'ca = [["a"]]', says: "ca holds an array" },
    { title: "a client of a number", text: "client = 5", says: "client" },
    { title: "a client of three files", text: 'client = [["a", "b", "c"]]', says: "client" },
    { title: "a client of half a pair", text: 'client = [["a"]]', says: "client" },
    {
      title: "a header with a newline",
      text: '[header]\nx = "s3cr3t\\r\\ny: z"',
      says: "line 2: header.x",
    },
    { title: "a header of no name", text: '[header]\n"a b" = "s3cr3t"', says: "header" },
    { title: "a header of a number", text: "[header]\nx = 1", says: "header.x holds a number" },
    { title: "a timeout of a word", text: 'dial_timeout = "soon"', says: "dial_timeout" },
    { title: "a date", text: "server = 1979-05-27", says: "server is a date" },
  ])("refuses $title, names file, line and key, and quotes nothing", ({ text, says }) => {
    const error = failureOf(() => parse(text));
    expect(isKind(error, "failed-precondition")).toBe(true);
    expect(messagesOf(error)).toContain(`${DIRECTORY}/hosts.toml`);
    expect(messagesOf(error)).toContain(says);
    expect(messagesOf(error)).not.toContain("s3cr3t");
  });

  test("refuses a file that is too large, and too many hosts", () => {
    expect(() => parse(`# ${"x".repeat(2 << 20)}`)).toThrow("at most");
    const hosts = Array.from({ length: 65 }, (_, i) => `[host."https://h${i}"]`).join("\n");
    expect(() => parse(hosts)).toThrow("at most 64");
  });

  test("refuses nesting without end", () => {
    expect(() => parse(`a = ${"[".repeat(10_000)}`)).toThrow();
  });

  test("takes any text or refuses it with its own error", () => {
    const line = fc.oneof(
      fc.constantFrom(
        "[host]",
        '[host."https://h"]',
        "[header]",
        'server = "x"',
        "ca = []",
        'client = [["a","b"]]',
        "skip_verify = true",
        "[host.__proto__]",
        "__proto__ = 1",
      ),
      fc.string(),
      fc
        .tuple(
          fc.constantFrom(
            "server",
            "ca",
            "client",
            "capabilities",
            "header",
            "skip_verify",
            "host",
          ),
          fc.constantFrom("1", '"a"', "[]", "{}", "true", "1979-05-27", '["pull"]', "{a = [1]}"),
        )
        .map(([key, value]) => `${key} = ${value}`),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          parse(lines.join("\n"));
        } catch (error) {
          expect(isKind(error, "failed-precondition")).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
