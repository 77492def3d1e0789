import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { isKind } from "../../src/errors.ts";
import { askCredentialHelper } from "../../src/oci/credential-helper.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { helperEnv } from "./helper-script.ts";

const LOGIN = `printf '{"ServerURL":"x","Username":"me","Secret":"s3cr3t"}'`;

/** Whether a process of this id still runs; one that nobody has asked for its end (Z) does not. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return /^State:\s+[^ZX]/m.test(status);
}

describe("askCredentialHelper()", () => {
  test("asks by `get`, with the server on standard input", async () => {
    await using dir = await tempDir();
    const seen = dir.join("seen");
    const env = await helperEnv(dir, { test: `echo "$#:$1:$(cat)" > ${seen}; ${LOGIN}` });
    const login = await askCredentialHelper("test", "example.com:5000", { env });
    expect(login).toEqual({ username: "me", password: "s3cr3t" });
    expect(await readFile(seen, "utf8")).toBe("1:get:example.com:5000\n");
  });

  test("takes the secret of the user <token> as an identity token", async () => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, {
      test: `printf '{"Username":"<token>","Secret":"refresh"}'`,
    });
    expect(await askCredentialHelper("test", "h", { env })).toEqual({ identityToken: "refresh" });
  });

  test.each([
    "echo 'credentials not found in native keychain'; exit 1",
    "echo 'no credentials server URL'; exit 1",
    `printf '{"ServerURL":"","Username":"","Secret":""}'`,
  ])("finds nothing when the helper has nothing: %s", async (script) => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, { test: script });
    expect(await askCredentialHelper("test", "h", { env })).toBeUndefined();
  });

  test("gives the helper the environment it is told, and no other", async () => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, {
      test: `printf '{"Username":"%s","Secret":"x"}' "$NAME-$BUN_TEST_SECRET"`,
    });
    const login = await askCredentialHelper("test", "h", { env: { ...env, NAME: "n" } });
    expect(login).toMatchObject({ username: "n-" });
  });

  test.each([
    { title: "is missing", script: undefined, says: "no such program" },
    { title: "fails", script: "echo 'the vault is shut'; exit 3", says: "the vault is shut" },
    { title: "fails without a word", script: "exit 1", says: "code 1" },
    { title: "prints no JSON", script: "echo garbage s3cr3t", says: "no JSON" },
    { title: "prints an array", script: "echo '[\"s3cr3t\"]'", says: "want an object" },
    {
      title: "prints a secret of a number",
      script: `echo '{"Username":"a","Secret":1}'`,
      says: "Secret is 1",
    },
    { title: "prints without end", script: "yes s3cr3t", says: "more than 1048576 bytes" },
    { title: "prints nothing", script: "true", says: "no JSON" },
  ])("refuses a helper that $title", async ({ script, says }) => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, script === undefined ? {} : { test: script });
    const error = await rejectionOf(askCredentialHelper("test", "example.com", { env }));
    expect(isKind(error, "unauthenticated")).toBe(true);
    expect(messagesOf(error)).toContain(says);
    expect(messagesOf(error)).toContain("docker-credential-test");
    expect(messagesOf(error)).not.toContain("s3cr3t");
  });

  test("ends a helper that hangs, with all that it has started", async () => {
    await using dir = await tempDir();
    const pids = dir.join("pids");
    const env = await helperEnv(dir, { test: `sleep 60 & echo $$ $! > ${pids}; wait` });
    const asked = askCredentialHelper("test", "example.com", { env, timeoutMs: 300 });
    await expect(asked).rejects.toMatchObject({
      kind: "unauthenticated",
      message: expect.stringContaining("0.3 s"),
    });
    const started = (await readFile(pids, "utf8")).trim().split(" ").map(Number);
    await Bun.sleep(50);
    expect(await Promise.all(started.map(isAlive))).toEqual([false, false]);
  });

  test("ends the helper and throws the signal's reason when aborted", async () => {
    await using dir = await tempDir();
    const pids = dir.join("pids");
    const env = await helperEnv(dir, { test: `echo $$ > ${pids}; exec sleep 60` });
    const controller = new AbortController();
    const reason = new Error("no more");
    setTimeout(() => controller.abort(reason), 200);
    const asked = askCredentialHelper("test", "h", { env, signal: controller.signal });
    await expect(asked).rejects.toBe(reason);
    await Bun.sleep(50);
    expect(await isAlive(Number(await readFile(pids, "utf8")))).toBe(false);
  });

  test("does not mind a helper that does not listen", async () => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, { test: `exec < /dev/null; ${LOGIN}` });
    const login = await askCredentialHelper("test", "h".repeat(1_000_000), { env });
    expect(login).toEqual({ username: "me", password: "s3cr3t" });
  });
});
