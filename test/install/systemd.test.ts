import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { Systemd } from "../../src/install/systemd.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

/** A systemctl that notes what it is told, and fails or answers as `body` says. */
async function fake(dir: TempDir, body = ""): Promise<Systemd> {
  const path = dir.join("systemctl");
  const text = `#!/bin/sh\necho "$@" >> ${dir.join("told")}\n${body}\n`;
  await writeFile(path, text, { mode: 0o755 });
  return new Systemd(path);
}

describe("Systemd", () => {
  test("tells systemctl, word by word", async () => {
    await using dir = await tempDir();
    const systemd = await fake(dir);
    await systemd.reload();
    await systemd.enable(["a.socket", "a.service"]);
    await systemd.restart("a.service");
    await systemd.disable(["a.socket"]);
    expect(await readFile(dir.join("told"), "utf8")).toBe(
      "daemon-reload\nenable --now a.socket a.service\nrestart a.service\ndisable --now a.socket\n",
    );
  });

  test("says what systemctl said when it fails", async () => {
    await using dir = await tempDir();
    const systemd = await fake(dir, "echo Unit not found >&2; exit 5");
    const error = await rejectionOf(systemd.restart("a.service"));
    expect(error).toMatchObject({
      kind: "failed-precondition",
      message: expect.stringContaining("Unit not found"),
    });
  });

  test.each([
    { title: "runs", body: "echo active", isActive: true, state: "active" },
    { title: "has failed", body: "echo failed; exit 3", isActive: false, state: "failed" },
  ])("tells that a unit $title", async ({ body, isActive, state }) => {
    await using dir = await tempDir();
    const systemd = await fake(dir, body);
    expect(await systemd.isActive("a.service")).toBe(isActive);
    expect(await systemd.state("a.service")).toBe(state);
  });

  test("fails where there is no systemctl", async () => {
    const error = await rejectionOf(new Systemd("no-such-systemctl").reload());
    expect(error).toMatchObject({ kind: "failed-precondition" });
  });
});
