import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/oci/digest.ts";
import { putSampleIndex } from "./index-sandbox.ts";
import { type Sandbox, sandbox } from "./ztoc-sandbox.ts";

const HEADER =
  "DIGEST    SIZE    IMAGE REF    PLATFORM    MEDIA TYPE    MANIFEST VERSION    CREATED    \n";

async function digestsOf(box: Sandbox, ...flags: readonly string[]): Promise<string[]> {
  const { stdout } = await box.run(["index", "list", "-q", ...flags]);
  return stdout.trimEnd().split("\n");
}

describe("index list", () => {
  test("prints a table as the reference does", async () => {
    await using box = await sandbox();
    const { digest, size, mediaType } = await putSampleIndex(box);
    const { code, stdout } = await box.run(["index", "list"]);
    const cells = [digest, String(size), "registry.test/app:v1", "linux/amd64", mediaType];
    const head = ["DIGEST", "SIZE", "IMAGE REF", "PLATFORM", "MEDIA TYPE"];
    const [first, second] = [head, cells].map((row) =>
      row.map((cell, i) => cell.padEnd(Math.max(8, (cells[i]?.length ?? 0) + 4))).join(""),
    );
    expect({ code, stdout: stdout.replace(/\ds ago/, "0s ago") }).toEqual({
      code: 0,
      stdout: `${first}MANIFEST VERSION    CREATED    \n${second}v1                  0s ago     \n`,
    });
  });

  test("prints the header alone when there is nothing", async () => {
    await using box = await sandbox();
    const { code, stdout } = await box.run(["index", "ls"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: HEADER });
  });

  test("prints the newest first", async () => {
    await using box = await sandbox();
    const first = await putSampleIndex(box, { manifest: "1" });
    await Bun.sleep(5);
    const second = await putSampleIndex(box, { manifest: "22" });
    expect(await digestsOf(box)).toEqual([second.digest, first.digest]);
  });

  test.each([
    { title: "as it was given", name: "docker.io/library/alpine:latest" },
    { title: "in short", name: "alpine" },
  ])("prints the indexes of an image with --ref, named $title", async ({ name }) => {
    await using box = await sandbox();
    await putSampleIndex(box, { manifest: "1" });
    const { digest } = await putSampleIndex(box, {
      manifest: "22",
      imageName: "docker.io/library/alpine:latest",
    });
    expect(await digestsOf(box, "--ref", name)).toEqual([digest]);
  });

  test("prints the indexes of any of the platforms given", async () => {
    await using box = await sandbox();
    const arm = await putSampleIndex(box, { manifest: "1", platform: "linux/arm64/v8" });
    const amd = await putSampleIndex(box, { manifest: "22", platform: "linux/amd64" });
    await putSampleIndex(box, { manifest: "333", platform: "linux/s390x" });
    expect(await digestsOf(box, "-p", "linux/arm64")).toEqual([arm.digest]);
    const both = await digestsOf(box, "--platform", "linux/amd64", "-p", "linux/aarch64");
    expect(both.sort()).toEqual([arm.digest, amd.digest].sort());
  });

  test("prints the header alone for a platform without an index", async () => {
    await using box = await sandbox();
    await putSampleIndex(box);
    const { code, stdout } = await box.run(["index", "list", "-p", "linux/arm64"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: HEADER });
  });

  test("prints an index of two names once with --quiet", async () => {
    await using box = await sandbox();
    const { digest } = await putSampleIndex(box);
    await putSampleIndex(box, { imageName: "registry.test/app:v2" });
    expect(await digestsOf(box)).toEqual([digest]);
  });

  test("prints what it knows with --json", async () => {
    await using box = await sandbox();
    const { digest, size, mediaType } = await putSampleIndex(box);
    const { stdout } = await box.run(["index", "list", "--json"]);
    expect(JSON.parse(stdout)).toEqual([
      {
        digest,
        size,
        imageRef: "registry.test/app:v1",
        platform: "linux/amd64",
        mediaType,
        version: "v1",
        manifestDigest: digestOf("manifest"),
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      },
    ]);
  });

  test("keeps a platform's text from driving the terminal", async () => {
    await using box = await sandbox();
    await putSampleIndex(box, { platform: "linux/\u001b[2J" });
    const { stdout } = await box.run(["index", "list"]);
    expect([stdout.includes("\u001b"), stdout.includes("linux/\\x1b[2J")]).toEqual([false, true]);
  });

  test("prints a table for people on a terminal", async () => {
    await using box = await sandbox();
    await putSampleIndex(box, { platform: "linux/\u001b[2J" });
    const env = { NO_COLOR: "1" };
    const { stdout } = await box.run(["index", "list"], { stdoutIsTty: true, env });
    const [head = "", row = "", ...more] = stdout.split("\n");
    expect(head).toMatch(/^IMAGE +PLATFORM +VERSION +SIZE +CREATED +DIGEST$/);
    expect(row).toMatch(/ linux\/\\x1b\[2J +v[12] +\d+(?:\.\d KiB| B) +.*ago|just now +sha256:/);
    expect(more).toEqual([""]);
  });

  test.each([
    { title: "an image without an index", argv: ["--ref", "registry.test/no"], code: 1 },
    { title: "a platform that is none, as bad usage", argv: ["-p", "bad/x/y/z/w"], code: 2 },
    { title: "an argument, as bad usage", argv: ["x"], code: 2 },
  ])("refuses $title", async ({ argv, code }) => {
    await using box = await sandbox();
    const result = await box.run(["index", "list", ...argv]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
  });
});
