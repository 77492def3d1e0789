import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { findClusterAccess } from "../../src/kubernetes/cluster-access.ts";
import { parseKubeconfig } from "../../src/kubernetes/kubeconfig.ts";
import { failureOf, messagesOf, rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const WHOLE = `
apiVersion: v1
kind: Config
current-context: here
contexts:
- name: there
  context: {cluster: b, user: nobody}
- name: here
  context:
    cluster: a
    user: me
    namespace: default
clusters:
- name: a
  cluster:
    server: https://api.example:6443/k8s/cluster
    certificate-authority: pki/ca.crt
    proxy-url: http://proxy.example:3128
users:
- name: me
  user:
    tokenFile: token
    token: not-this-one
`;

function parse(...texts: readonly string[]) {
  return parseKubeconfig(
    texts.map((text, index) => ({ path: `/etc/k${index}/config`, bytes: Buffer.from(text) })),
  );
}

describe("parseKubeconfig()", () => {
  test("reads what the current context names, files relative to its own", () => {
    expect(parse(WHOLE)).toEqual({
      server: new URL("https://api.example:6443/k8s/cluster/"),
      ca: { path: "/etc/k0/pki/ca.crt" },
      client: undefined,
      skipVerify: false,
      proxy: new URL("http://proxy.example:3128"),
      token: { path: "/etc/k0/token" },
      basic: undefined,
    });
  });

  test("puts several together: the first to name something holds", () => {
    const one = "current-context: here\nusers: [{name: me, user: {username: u, password: p}}]";
    const config = parse(one, WHOLE);
    expect(config.basic).toEqual({ username: "u", password: "p" });
    expect(config.token).toBeUndefined();
    expect(config.ca).toEqual({ path: "/etc/k1/pki/ca.crt" });
  });

  test("takes JSON, and data in the file itself", () => {
    const data = Buffer.from("PEM").toString("base64");
    const config = parse(
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
        clusters: [
          { name: "x", cluster: { server: "https://h", "insecure-skip-tls-verify": true } },
        ],
        users: [{ name: "x", user: { "client-certificate-data": data, "client-key-data": data } }],
      }),
    );
    expect(config.skipVerify).toBe(true);
    expect(config.client).toEqual({ cert: { text: "PEM" }, key: { text: "PEM" } });
  });

  test.each([
    { title: "nothing", text: "", want: /no current-context/ },
    { title: "a list", text: "[]", want: /is no mapping/ },
    { title: "a broken line", text: "a: [", want: /no YAML/ },
    { title: "deep nesting", text: "[".repeat(300_000), want: /no YAML/ },
    { title: "too much", text: "#".repeat(2 << 20), want: /want at most/ },
    { title: "no context", text: "current-context: x", want: /contexts has no context "x"/ },
    {
      title: "a context of a number",
      text: "current-context: 1",
      want: /current-context is no string/,
    },
    { title: "no server", text: WHOLE.replace(/server: .*/, "x: y"), want: /server is missing/ },
    { title: "a server of files", text: WHOLE.replace("https", "file"), want: /server is no http/ },
    {
      title: "no such user",
      text: WHOLE.replace("name: me", "name: you"),
      want: /users has no user "me"/,
    },
    {
      title: "a numeric token",
      text: WHOLE.replace("not-this-one", "123456"),
      want: /token is no string.*quotes/,
    },
    {
      title: "a key alone",
      text: WHOLE.replace("tokenFile", "client-key"),
      want: /client-certificate is missing/,
    },
    {
      title: "no base64",
      text: WHOLE.replace("authority: pki", "authority-data: '*'\n    x: pki"),
      want: /is no base64/,
    },
    {
      title: "another name of the server",
      text: WHOLE.replace("proxy-url", "tls-server-name"),
      want: /tls-server-name/,
    },
  ])("refuses $title", ({ text, want }) => {
    const error = failureOf(() => parse(text));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(messagesOf(error)).toMatch(want);
    expect(messagesOf(error)).not.toContain("123456");
  });

  test.each(["exec: {command: evil}", "auth-provider: {name: x}", "as: root"])(
    "does not do %s",
    (line) => {
      const error = failureOf(() => parse(WHOLE.replace("tokenFile: token", line)));
      expect(error).toMatchObject({ kind: "unsupported" });
      expect(messagesOf(error)).not.toContain("evil");
    },
  );
});

describe("findClusterAccess()", () => {
  const simple = (server: string, user: string): string =>
    `{current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
      clusters: [{name: x, cluster: {server: "${server}"}}], users: [{name: x, user: ${user}}]}`;

  test("looks at $KUBECONFIG, then in the home directory", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("one"), simple("https://one", "{token: t}"));
    await writeFile(dir.join("two"), simple("https://two", "{}"));
    const env = { HOME: dir.path, KUBECONFIG: `${dir.join("none")}:${dir.join("one")}` };
    expect(await findClusterAccess({ env })).toMatchObject({
      server: new URL("https://one/"),
      authorization: "Bearer t",
      tls: undefined,
    });
    expect(await findClusterAccess({ env, path: dir.join("two") })).toMatchObject({
      server: new URL("https://two/"),
      authorization: undefined,
    });
  });

  test("finds nothing where there is nothing", async () => {
    await using dir = await tempDir();
    expect(await findClusterAccess({ env: { HOME: dir.path } })).toBeUndefined();
    expect(await findClusterAccess({ env: {}, path: dir.join("none") })).toBeUndefined();
    expect(await findClusterAccess({ env: { KUBECONFIG: dir.join("none") } })).toBeUndefined();
  });

  test("does not send a login in clear text to another machine", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("one"), simple("http://api.example", "{token: secret}"));
    const error = await rejectionOf(findClusterAccess({ env: {}, path: dir.join("one") }));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(messagesOf(error)).not.toContain("secret");
  });

  test.each([
    "{tokenFile: none}",
    "{tokenFile: .}",
    "{token: 'a b'}",
    "{client-certificate: x, client-key: y}",
  ])("refuses %s", async (user) => {
    await using dir = await tempDir();
    await writeFile(dir.join("one"), simple("https://api.example", user));
    expect(await rejectionOf(findClusterAccess({ env: {}, path: dir.join("one") }))).toMatchObject({
      kind: "failed-precondition",
    });
  });
});
