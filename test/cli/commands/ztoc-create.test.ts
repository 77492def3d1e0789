import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Interrupt } from "../../../src/cli/cli-io.ts";
import { WasmEngine } from "../../../src/deflate/wasm-engine.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { buildTar } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { buildBytes } from "../../ztoc/build.ts";
import { goldenLayer, goldenRows } from "../../ztoc/golden.ts";
import { sampleLayer, sandbox } from "./ztoc-sandbox.ts";

const layer = await sampleLayer();
const engine = new WasmEngine();

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

describe("ztoc create", () => {
  test("writes the zTOC to --output and prints its digest", async () => {
    await using box = await sandbox();
    await box.write("l.tar.gz", layer.bytes);
    const { code, stdout, stderr } = await box.run(
      "ztoc create l.tar.gz --span-size 64k --output l.ztoc".split(" "),
    );
    const want = buildBytes(layer.bytes, { engine, spanSize: 65_536 });
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: `${digestOf(want)}\n`,
      stderr: "",
    });
    expect((await readFile(box.join("l.ztoc"))).equals(want)).toBe(true);
    expect((await lstat(box.join("l.ztoc"))).mode & 0o7777).toBe(0o644);
    expect((await readdir(box.path)).sort()).toEqual(["l.tar.gz", "l.ztoc"]);
  });

  test("stores the zTOC with its layer when there is no --output", async () => {
    await using box = await sandbox();
    await box.write("l.tar.gz", layer.bytes);
    const { code, stdout } = await box.run(["ztoc", "create", "l.tar.gz", "--span-size", "8192"]);
    const want = buildBytes(layer.bytes, { engine, spanSize: 8192 });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${digestOf(want)}\n` });
    await using store = await box.openStore();
    expect(store.artifacts.listZtocs()).toMatchObject([
      {
        digest: digestOf(want),
        size: want.length,
        spanSize: 8192,
        ociDigest: digestOf(layer.bytes),
      },
    ]);
    expect(Buffer.from(await store.readZtoc(digestOf(want))).equals(want)).toBe(true);
  });

  test("prints what the zTOC says in short with --json", async () => {
    await using box = await sandbox();
    await box.write("l", layer.bytes);
    const { stdout } = await box.run(["ztoc", "create", "l", "--json", "-o", "z"]);
    const want = buildBytes(layer.bytes, { engine, spanSize: 4 << 20 });
    expect(JSON.parse(stdout)).toEqual({
      digest: digestOf(want),
      size: want.length,
      spans: 1,
      files: 6,
      compressedSize: layer.bytes.length,
      uncompressedSize: layer.tar.length,
    });
  });

  test.each([
    { title: "in one piece", size: 1 << 20 },
    { title: "byte by byte", size: 1 },
  ])("reads - from standard input, $title", async ({ size }) => {
    await using box = await sandbox();
    const { bytes } = await sampleLayer([{ name: "a", content: "short" }]);
    const { stdout } = await box.run(["ztoc", "create", "-", "-o", "z"], {
      stdin: pieces(bytes, size),
    });
    expect(stdout).toBe(`${digestOf(buildBytes(bytes, { engine, spanSize: 4 << 20 }))}\n`);
  });

  test("reads a named pipe", async () => {
    await using box = await sandbox();
    Bun.spawnSync(["mkfifo", box.join("pipe")]);
    const running = box.run(["ztoc", "create", "pipe", "-o", "z"]);
    await writeFile(box.join("pipe"), layer.bytes);
    expect((await running).stdout).toBe(
      `${digestOf(buildBytes(layer.bytes, { engine, spanSize: 4 << 20 }))}\n`,
    );
  });

  test("takes what is not gzip for a plain tar", async () => {
    await using box = await sandbox();
    await box.write("l", layer.tar);
    const { stdout } = await box.run(["ztoc", "create", "l", "-o", "z", "--span-size", "1000"]);
    const want = buildBytes(layer.tar, { engine, algorithm: "uncompressed", spanSize: 1000 });
    expect(stdout).toBe(`${digestOf(want)}\n`);
  });

  test("stores --compression unknown as uncompressed", async () => {
    await using box = await sandbox();
    await box.write("l", layer.tar);
    const argv = ["ztoc", "create", "l", "-o", "z", "--span-size", "4096", "--compression"];
    const { stdout } = await box.run([...argv, "unknown"]);
    expect(stdout).toBe((await box.run([...argv, "uncompressed"])).stdout);
  });

  test("takes a span size of 0 for gzip as the reference does", async () => {
    await using box = await sandbox();
    const row = goldenRows().find((candidate) => candidate.spanSize === 0 && candidate.ztocDigest);
    await box.write("l", goldenLayer(row?.file ?? ""));
    const { stdout } = await box.run(["ztoc", "create", "l", "-o", "z", "--span-size", "0"]);
    expect(stdout).toBe(`${row?.ztocDigest}\n`);
  });

  test("refuses a span size of 0 for a plain tar as bad usage", async () => {
    await using box = await sandbox();
    await box.write("l", layer.tar);
    const { code } = await box.run(["ztoc", "create", "l", "-o", "z", "--span-size", "0"]);
    expect([code, existsSync(box.join("z"))]).toEqual([2, false]);
  });

  test("writes a zTOC that no reader can use all the same, with a warning", async () => {
    await using box = await sandbox();
    const row = goldenRows().find(({ loadError }) => loadError !== undefined);
    await box.write("l", goldenLayer(row?.file ?? ""));
    const { code, stdout, stderr } = await box.run([
      "ztoc",
      "create",
      "l",
      "-o",
      "z",
      "--span-size",
      String(row?.spanSize),
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${row?.ztocDigest}\n` });
    expect(stderr).toContain("no reader can use this zTOC");
  });

  test("keeps checkpoints that are too many for memory beside the output, and leaves nothing there", async () => {
    await using box = await sandbox();
    const tar = await buildTar([{ name: "f", content: sampleBytes(400_000) }]);
    const bytes = gzipSync(tar, { memLevel: 1 });
    await box.write("l", bytes);
    await mkdir(box.join("out"));
    const { stdout } = await box.run(["ztoc", "create", "l", "-o", "out/z", "--span-size", "1"]);
    const want = buildBytes(bytes, { engine, spanSize: 1 });
    expect([stdout, want.length > 2 << 20]).toEqual([`${digestOf(want)}\n`, true]);
    expect(await readdir(box.join("out"))).toEqual(["z"]);
  });
});

describe("ztoc create refuses", () => {
  const cut = layer.bytes.subarray(0, -5);
  const damaged = layer.bytes.slice();
  damaged[3000] = (damaged[3000] ?? 0) ^ 0x10;
  const skippable = Uint8Array.of(0x5a, 0x2a, 0x4d, 0x18, 0, 0, 0, 0);
  const unknownType = goldenLayer("c-pax-global.tar");

  test.each([
    { title: "a gzip layer that is cut short", bytes: cut, says: "ends at byte" },
    { title: "a gzip layer with a wrong bit", bytes: damaged, says: "Cannot" },
    { title: "a zstd layer", bytes: zstdCompressSync(layer.tar), says: "zstd" },
    { title: "a zstd layer with a skippable frame first", bytes: skippable, says: "zstd" },
    { title: "text", bytes: Buffer.from("no tar".repeat(200)), says: "plain tar" },
    { title: "an entry that zTOCs cannot hold", bytes: unknownType, says: "entry" },
    { title: "gzip of nothing but an end", bytes: Uint8Array.of(0x1f, 0x8b), says: "header" },
  ])("$title: exit 1, nothing on stdout, no file", async ({ bytes, says }) => {
    await using box = await sandbox();
    await box.write("l", bytes);
    await mkdir(box.join("out"));
    const { code, stdout, stderr } = await box.run(["ztoc", "create", "l", "-o", "out/z"]);
    expect({ code, stdout, files: await readdir(box.join("out")) }).toEqual({
      code: 1,
      stdout: "",
      files: [],
    });
    expect(stderr).toContain('"l"');
    expect(stderr).toContain(says);
  });

  test("a layer that is not what --compression says", async () => {
    await using box = await sandbox();
    await box.write("l", layer.bytes);
    const argv = ["ztoc", "create", "l", "-o", "z", "--compression"];
    const codes = [];
    for (const wrong of ["uncompressed", "unknown", "zstd"]) {
      codes.push((await box.run([...argv, wrong])).code);
    }
    await box.write("l", layer.tar);
    codes.push((await box.run([...argv, "gzip"])).code);
    expect(codes).toEqual([1, 1, 1, 1]);
    expect(existsSync(box.join("z"))).toBe(false);
  });

  test("a damaged layer without listing anything in the store", async () => {
    await using box = await sandbox();
    await box.write("l", cut);
    const { code, stdout } = await box.run(["ztoc", "create", "l"]);
    await using store = await box.openStore();
    expect([code, stdout, store.artifacts.listZtocs()]).toEqual([1, "", []]);
  });

  test("a damaged layer and keeps the file that was there", async () => {
    await using box = await sandbox();
    await box.write("l", cut);
    await box.write("z", "old");
    await box.run(["ztoc", "create", "l", "-o", "z"]);
    expect(await Bun.file(box.join("z")).text()).toBe("old");
  });

  test.each([
    { title: "a layer that is not there", argv: ["nosuch", "-o", "z"], code: 1 },
    { title: "a layer that is a directory", argv: [".", "-o", "z"], code: 1 },
    { title: "an output in no directory", argv: ["l", "-o", "no/z"], code: 1 },
    { title: "an output that is a directory", argv: ["l", "-o", "."], code: 1 },
    { title: "an output that would be the layer", argv: ["l", "-o", "./l"], code: 2 },
    { title: "a word that is no compression", argv: ["l", "--compression", "GZIP"], code: 2 },
    { title: "a negative span size", argv: ["l", "--span-size=-1"], code: 2 },
  ])("$title", async ({ argv, code }) => {
    await using box = await sandbox();
    await box.write("l", layer.bytes);
    const result = await box.run(["ztoc", "create", ...argv]);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
    expect(await readdir(box.path)).toEqual(["l"]);
    expect((await readFile(box.join("l"))).equals(layer.bytes)).toBe(true);
  });
});

describe("ztoc create --output", () => {
  test("replaces what a symbolic link leads to, and keeps the link", async () => {
    await using box = await sandbox();
    await box.write("l", layer.bytes);
    await box.write("real", "old");
    await symlink("real", box.join("z"));
    await box.run(["ztoc", "create", "l", "-o", "z"]);
    expect(await readlink(box.join("z"))).toBe("real");
    expect((await readFile(box.join("real"))).length).toBeGreaterThan(32_768);
  });

  test("writes into a named pipe, which stays one", async () => {
    await using box = await sandbox();
    await box.write("l", layer.bytes);
    Bun.spawnSync(["mkfifo", box.join("z")]);
    const reading = readFile(box.join("z"));
    const { stdout } = await box.run(["ztoc", "create", "l", "-o", "z"]);
    expect(`${digestOf(await reading)}\n`).toBe(stdout);
    expect((await lstat(box.join("z"))).isFIFO()).toBe(true);
  });
});

describe("ztoc create, interrupted", () => {
  test("ends with 130 in the middle of a layer, and leaves nothing", async () => {
    await using box = await sandbox();
    await mkdir(box.join("out"));
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(new Interrupt("SIGINT")), 20);
    // Never a pause in which the event loop would turn by itself.
    function* endless() {
      yield layer.tar;
      for (const zeros = new Uint8Array(65_536); ;) yield zeros;
    }
    const { code, stdout } = await box.run(["ztoc", "create", "-", "-o", "out/z"], {
      stdin: endless(),
      signal: interrupt.signal,
    });
    expect({ code, stdout, files: await readdir(box.join("out")) }).toEqual({
      code: 130,
      stdout: "",
      files: [],
    });
  });

  test("does not wait for a named pipe that nobody writes to", async () => {
    await using box = await sandbox();
    Bun.spawnSync(["mkfifo", box.join("pipe")]);
    const interrupt = new AbortController();
    const running = box.run(["ztoc", "create", "pipe", "-o", "z"], { signal: interrupt.signal });
    interrupt.abort(new Interrupt("SIGTERM"));
    expect((await running).code).toBe(143);
    // Lets the open that was left behind come back.
    await writeFile(box.join("pipe"), "");
  });
});

describe("ztoc create on a terminal", () => {
  const argv = ["ztoc", "create", "-", "-o", "z"];

  test("shows no progress when it is quick", async () => {
    await using box = await sandbox();
    const { stderr } = await box.run(argv, { stdin: [layer.bytes], stderrIsTty: true });
    expect(stderr).toBe("");
  });

  test("shows what was read and how fast after a second", async () => {
    await using box = await sandbox();
    const chunks = pieces(layer.bytes, Math.ceil(layer.bytes.length / 15));
    async function* slow() {
      for (const chunk of chunks) {
        await Bun.sleep(100);
        yield chunk;
      }
    }
    const { code, stderr } = await box.run(argv, { stdin: slow(), stderrIsTty: true });
    expect(code).toBe(0);
    expect(stderr).toMatch(/standard input {2}[\d.]+ KiB {2}[\d.]+ [KM]?i?B\/s/);
  });
});
