import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { OutputClosed } from "../../../src/cli/cli-io.ts";
import { decodeZtoc } from "../../../src/ztoc/decode-ztoc.ts";
import { goldenLayer, goldenRows } from "../../ztoc/golden.ts";
import { BIG_FILE, createZtoc, sampleLayer, type Sandbox, sandbox } from "./ztoc-sandbox.ts";

const layer = await sampleLayer();

function getFile(box: Sandbox, path: string, ...flags: readonly string[]) {
  return box.run(["ztoc", "get-file", "ztoc", path, "--layer", "layer", ...flags]);
}

describe("ztoc get-file", () => {
  test.each([
    { title: "as it stands", path: "etc/motd" },
    { title: "with ./", path: "./etc/motd" },
    { title: "with /", path: "/etc/motd" },
  ])("prints the exact bytes of a file named $title", async ({ path }) => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code, stdout, stderr } = await getFile(box, path);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
  });

  test("prints a file of many spans", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    expect(BIG_FILE.equals((await getFile(box, "usr/big")).stdoutBytes)).toBe(true);
  });

  test("prints a file of a plain tar", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.tar);
    expect(BIG_FILE.equals((await getFile(box, "usr/big")).stdoutBytes)).toBe(true);
  });

  test("reads nothing of the layer but the spans of the file", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const ztoc = decodeZtoc(await Bun.file(box.join("ztoc")).bytes());
    const last = ztoc.zinfo.rangeOf(ztoc.maxSpanId, ztoc);
    const others = layer.bytes.slice().fill(0, 0, last.compressedStart);
    await box.write("layer", others);
    const file = ztoc.files.find(({ name }) => Buffer.from(name).toString() === "usr/last");
    // Its data may begin in the span before: then this test would show nothing.
    expect(file?.uncompressedOffset ?? 0).toBeGreaterThanOrEqual(last.uncompressedStart);
    expect((await getFile(box, "usr/last")).stdout).toBe("the end\n");
  });

  test("prints an empty file without the layer", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code, stdout } = await box.run(["ztoc", "get-file", "ztoc", "etc/empty"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  });

  test("writes to --output with mode 0644, and nothing to standard output", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code, stdout } = await getFile(box, "usr/big", "-o", "got");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(BIG_FILE.equals(await Bun.file(box.join("got")).bytes())).toBe(true);
    expect((await lstat(box.join("got"))).mode & 0o7777).toBe(0o644);
    expect((await readdir(box.path)).sort()).toEqual(["got", "layer", "ztoc"]);
  });

  test("finds a stored zTOC and its layer by the zTOC's digest", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    {
      await using store = await box.openStore();
      await store.content.putBytes("application/octet-stream", layer.bytes);
    }
    const { stdout } = await box.run(["ztoc", "get-file", digest, "etc/motd"]);
    expect(stdout).toBe("hello\n");
  });

  test("finds the stored layer of a zTOC in a file", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes, []);
    await createZtoc(box, layer.bytes, ["--output", "ztoc"]);
    {
      await using store = await box.openStore();
      await store.content.putBytes("application/octet-stream", layer.bytes);
    }
    const { stdout } = await box.run(["ztoc", "get-file", "ztoc", "etc/motd"]);
    expect(stdout).toBe("hello\n");
  });

  test("says what to do when the layer is not stored", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, []);
    const { code, stdout, stderr } = await box.run(["ztoc", "get-file", digest, "etc/motd"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("--layer FILE");
  });

  test("prints nothing for a device, and says why", async () => {
    await using box = await sandbox();
    const { bytes } = await sampleLayer([{ name: "null", type: "character-device" }]);
    await createZtoc(box, bytes);
    const { code, stdout, stderr } = await getFile(box, "null");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("not a regular file");
  });

  test("ends quietly when nobody reads its output", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const argv = "ztoc get-file ztoc usr/big --layer layer".split(" ");
    const { code, stderr } = await box.run(argv, { stdoutError: new OutputClosed() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

describe("ztoc get-file refuses", () => {
  test.each([
    { title: "a file that is not there", path: "nosuch", says: "no such file" },
    { title: "a directory", path: "etc", says: "directory" },
    { title: "the root", path: "/", says: "no such file" },
  ])("$title", async ({ path, says }) => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code, stdout, stderr } = await getFile(box, path, "-o", "got");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(says);
    expect(existsSync(box.join("got"))).toBe(false);
  });

  test("a layer of another size", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    await box.write("layer", layer.bytes.subarray(1));
    const { code, stderr } = await getFile(box, "etc/motd");
    expect([code, stderr.includes(`${layer.bytes.length - 1} bytes`)]).toEqual([1, true]);
  });

  test("a layer that is not there", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes);
    const { code } = await box.run("ztoc get-file ztoc etc/motd --layer nosuch".split(" "));
    expect(code).toBe(1);
  });

  test("a damaged layer before any byte of the damaged span, and leaves no file", async () => {
    await using box = await sandbox();
    await createZtoc(box, layer.bytes, ["--output", "ztoc"]);
    const damaged = layer.bytes.slice();
    damaged[5000] = (damaged[5000] ?? 0) ^ 1;
    await box.write("layer", damaged);
    const printed = await getFile(box, "usr/big");
    expect({ code: printed.code, stdout: printed.stdout }).toEqual({ code: 1, stdout: "" });
    const written = await getFile(box, "usr/big", "-o", "got");
    expect(written.code).toBe(1);
    expect((await readdir(box.path)).sort()).toEqual(["layer", "ztoc"]);
  });

  test("a sparse file, of which a zTOC does not know the holes", async () => {
    await using box = await sandbox();
    const name = "c-sparse-pax-10-at-end.tar.gz";
    const row = goldenRows().find(({ file }) => file === name);
    const wrong = row?.extract?.find(({ differsFromTar }) => differsFromTar);
    await createZtoc(box, goldenLayer(name));
    const { code, stdout } = await getFile(box, wrong?.name ?? "");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("a zTOC whose spans cannot be read", async () => {
    await using box = await sandbox();
    // The reference writes it too: an empty tar has no spans.
    await createZtoc(box, new Uint8Array(0));
    const { code, stderr } = await getFile(box, "any");
    expect([code, stderr.includes("Cannot use zTOC")]).toEqual([1, true]);
  });

  test("a zTOC that is none", async () => {
    await using box = await sandbox();
    await box.write("ztoc", "not a zTOC, but long enough to be read as one");
    const { code, stdout } = await box.run(["ztoc", "get-file", "ztoc", "f"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("a missing argument, as bad usage", async () => {
    await using box = await sandbox();
    expect((await box.run(["ztoc", "get-file", "ztoc"])).code).toBe(2);
  });
});
