import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { parseDockerConfig } from "../../src/oci/docker-config.ts";
import { failureOf, messagesOf } from "../support/failure.ts";

function parse(text: string) {
  return parseDockerConfig(new TextEncoder().encode(text), "/home/me/.docker/config.json");
}

function auth(text: string): string {
  return Buffer.from(text).toString("base64");
}

describe("parseDockerConfig()", () => {
  test.each([
    {
      title: "user and password in base64",
      entry: { auth: auth("me:pa:ss") },
      login: { username: "me", password: "pa:ss" },
    },
    {
      title: "a password padded with zeros",
      entry: { auth: auth("me:pass\0\0") },
      login: { username: "me", password: "pass" },
    },
    {
      title: "user and password in the clear",
      entry: { username: "me", password: "pass" },
      login: { username: "me", password: "pass" },
    },
    {
      title: "an identity token beside its user",
      entry: { auth: auth("me:"), identitytoken: "refresh" },
      login: { identityToken: "refresh", username: "me" },
    },
    {
      title: "an identity token alone",
      entry: { identitytoken: "refresh" },
      login: { identityToken: "refresh" },
    },
    {
      title: "a registry token",
      entry: { registrytoken: "bearer" },
      login: { registryToken: "bearer" },
    },
    { title: "an entry that a helper has emptied", entry: {}, login: undefined },
    { title: "empty fields", entry: { auth: "", identitytoken: "" }, login: undefined },
  ])("reads $title", ({ entry, login }) => {
    const { auths } = parse(JSON.stringify({ auths: { "example.com": entry } }));
    expect(auths.get("example.com")).toEqual(login);
  });

  test("reads helpers", () => {
    const config = parse(
      '{"credsStore":"secretservice","credHelpers":{"ghcr.io":"gh","ecr":"ecr-login"}}',
    );
    expect(config.credsStore).toBe("secretservice");
    expect([...config.credHelpers]).toEqual([
      ["ghcr.io", "gh"],
      ["ecr", "ecr-login"],
    ]);
  });

  test("leaves everything else alone", () => {
    const config = parse('{"proxies":{"default":{}},"psFormat":1,"HttpHeaders":null,"auths":null}');
    expect(config).toEqual({ auths: new Map(), credHelpers: new Map(), credsStore: undefined });
  });

  test.each([
    { title: "no JSON", text: '{\n"auths": s3cr3t\n}', says: "line 2" },
    { title: "an array", text: '["s3cr3t"]', says: "line 1: the document is an array" },
    { title: "auths of a list", text: '{\n"auths":["s3cr3t"]}', says: "line 2: auths is an array" },
    {
      title: "an entry of a string",
      text: '{"auths":{\n\n"example.com":"s3cr3t"}}',
      says: 'line 3: auths."example.com" is a string',
    },
    {
      title: "a password of a number",
      text: '{"auths":{"h":{\n"username":"a",\n"password":12345}}}',
      says: "line 3: auths.h.password is a number",
    },
    {
      title: "an auth without colon",
      text: `{"auths":{"h":{\n"auth":"${auth("s3cr3t")}"}}}`,
      says: "line 2: auths.h.auth",
    },
    {
      title: "an auth that is no base64",
      text: '{"auths":{"h":{\n"auth":"s3cr3t:s3cr3t"}}}',
      says: "line 2: auths.h.auth",
    },
    {
      title: "a helper with a path",
      text: '{"credHelpers":{\n"h":"../../tmp/evil"}}',
      says: "line 2: credHelpers.h",
    },
    { title: "a store with a path", text: '{\n"credsStore":"/tmp/evil"}', says: "line 2" },
    { title: "a store of a number", text: '{"credsStore":1}', says: "credsStore is a number" },
  ])("refuses $title, names line and key, and quotes nothing", ({ text, says }) => {
    const error = failureOf(() => parse(text));
    expect(isKind(error, "failed-precondition")).toBe(true);
    const message = messagesOf(error);
    expect(message).toContain("/home/me/.docker/config.json");
    expect(message).toContain(says);
    expect(message).not.toContain("s3cr3t");
  });

  test("refuses bytes that are no UTF-8", () => {
    const bytes = Buffer.concat([Buffer.from('{\n"a":"'), Buffer.of(0xff), Buffer.from('"}')]);
    expect(() => parseDockerConfig(bytes, "c.json")).toThrow("line 2");
  });

  test("refuses a file that is too large", () => {
    expect(() => parseDockerConfig(new Uint8Array(2 << 20), "c.json")).toThrow("at most");
  });

  test("takes any JSON or refuses it with its own error", () => {
    const value = fc.oneof(fc.string(), fc.jsonValue(), fc.constant({ auth: auth("a:b") }));
    fc.assert(
      fc.property(
        fc.record(
          {
            auths: fc.oneof(fc.dictionary(fc.string(), value), value),
            credHelpers: fc.oneof(fc.dictionary(fc.string(), value), value),
            credsStore: value,
          },
          { requiredKeys: [] },
        ),
        (config) => {
          try {
            parse(JSON.stringify(config));
          } catch (error) {
            expect(isKind(error, "failed-precondition")).toBe(true);
          }
        },
      ),
    );
  });

  test("gives back every user and password that docker can write", () => {
    const user = fc.string({ minLength: 1 }).filter((text) => !text.includes(":"));
    const password = fc.string({ minLength: 1 }).filter((text) => !/^\0|\0$/.test(text));
    fc.assert(
      fc.property(user, password, (username, secret) => {
        const text = JSON.stringify({ auths: { h: { auth: auth(`${username}:${secret}`) } } });
        expect(parse(text).auths.get("h")).toEqual({ username, password: secret });
      }),
    );
  });
});
