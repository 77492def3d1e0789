import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, stat, writeFile } from "node:fs/promises";
import { decodeSociIndex } from "../../src/soci/soci-index.ts";
import { hostPlatform } from "../../src/oci/platform.ts";
import { parseImageIndex, parseImageManifest } from "../../src/oci/manifest.ts";
import { runInProcess } from "../cli/fake-io.ts";
import { collectGarbage } from "../support/containerd-garbage.ts";
import { putContainerdImage } from "../support/containerd-image.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { addImage, buildImage, buildIndex } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type SociRun, SociStage } from "./soci-stage.ts";

const HOST = hostPlatform();
const OTHER = { os: "linux", architecture: "s390x" };

const image = await buildImage({
  layers: [
    {
      entries: [
        { name: "etc/", type: "directory" },
        { name: "etc/hostname", content: "golden\n" },
        { name: "etc/empty", content: "" },
        { name: "etc/link", type: "symlink", linkname: "hostname" },
      ],
    },
    { entries: [{ name: "usr/bin/tool", content: sampleBytes(200_000, 4) }] },
  ],
  platform: HOST,
});
const other = await buildImage({
  layers: [{ entries: [{ name: "etc/other", content: "other\n" }] }],
  platform: OTHER,
});
const both = buildIndex([
  { image, platform: HOST },
  { image: other, platform: OTHER },
]);

const [bottom, top] = image.layers;
const layerDigests = image.layers.map(({ descriptor }) => descriptor.digest);

const digestsIn = (text: string): string[] =>
  [...text.matchAll(/sha256:[0-9a-f]{64}/g)].map(String);
const lines = (text: string): string[] => text.split("\n").filter(Boolean).toSorted();

describeMounts(CONTAINERD_PROGRAMS, "soci with containerd", () => {
  let stage: SociStage;
  let images = 0;

  beforeAll(async () => {
    stage = await SociStage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  const newName = (): string => {
    images += 1;
    return `${stage.registry.host}/app-${images}:v1`;
  };

  /** A run whose namespace has the image. */
  const runWith = async (
    built: typeof image | typeof both = image,
    contentStore?: "containerd" | "soci",
  ): Promise<SociRun & { readonly name: string }> => {
    const run = stage.newRun(contentStore);
    const name = newName();
    await putContainerdImage(run.space, { name, image: built });
    return { ...run, name };
  };

  const created = async (run: SociRun, argv: readonly string[]): Promise<string> => {
    const { code, stderr } = await run.soci(["create", "--min-layer-size", "0", ...argv]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return (await run.soci(["index", "list", "-q"])).stdout.split("\n")[0] ?? "";
  };

  test.each([{ contentStore: "containerd" as const }, { contentStore: "soci" as const }])(
    "create and its lists, with the store $contentStore",
    async ({ contentStore }) => {
      const { soci, name } = await runWith(image, contentStore);
      const first = await soci(["create", "--min-layer-size", "0", name]);
      const again = await soci(["create", name, "--min-layer-size=0"]);
      expect([first.code, again.code]).toEqual([0, 0]);
      expect(lines(first.stdout).map((line) => line.replace(/ ztoc .*/, ""))).toEqual(
        layerDigests.map((layer) => `layer ${layer} ->`).toSorted(),
      );
      expect(lines(again.stdout)).toEqual(
        lines(first.stdout).map((line) => `${line} (already exists)`),
      );

      const list = (await soci(["index", "list"])).stdout.split("\n");
      expect(list[1]).toContain(`    ${name}    ${HOST.os}/${HOST.architecture}    `);
      const [index = ""] = digestsIn(list[1] ?? "");
      expect((await soci(["index", "list", "-q", "--ref", name])).stdout).toBe(`${index}\n`);
      expect((await soci(["index", "ls", "-q", "-p", "linux/none"])).stdout).toBe("");

      const info = await soci(["index", "info", index]);
      const manifest = decodeSociIndex(Buffer.from(info.stdout));
      expect(manifest.subject?.digest).toBe(image.descriptor.digest);
      const ztocs = manifest.blobs.map(({ digest }) => String(digest));
      expect(digestsIn((await soci(["ztoc", "list", "-q"])).stdout)).toEqual(ztocs.toSorted());
      expect(digestsIn((await soci(["ztoc", "list", "-q", "--image-ref", name])).stdout)).toEqual(
        ztocs,
      );
      const ztoc = JSON.parse((await soci(["ztoc", "info", ztocs[0] ?? ""])).stdout);
      expect(ztoc).toMatchObject({ version: "0.9", num_files: 4 });

      expect((await soci(["index", "info", ztocs[0] ?? ""])).stderr).toBe(
        'soci: the provided digest is of ztoc not SOCI index. Use "soci ztoc info" command to get detailed info of ztoc\n',
      );
      expect((await soci(["ztoc", "info", index])).stderr).toBe(
        "soci: the provided digest belongs to a SOCI index. Use `soci index info` to get the detailed information about it\n",
      );
      expect((await soci(["index", "rm", ztocs[0] ?? ""])).stderr).toBe(
        `soci: the digest ${ztocs[0]} does not correspond to an index\n`,
      );
      expect(await soci(["index", "rm", index])).toEqual({ code: 0, stdout: "", stderr: "" });
      expect((await soci(["index", "rm", index])).stderr).toBe(
        `soci: the index of the digest ${index} doesn't exist\n`,
      );
      expect((await soci(["index", "list", "-q"])).stdout).toBe("");
    },
  );

  test("index rm --ref removes every index of an image, however many", async () => {
    const run = await runWith();
    await created(run, [run.name]);
    await created(run, ["--span-size", "65536", run.name]);
    expect(digestsIn((await run.soci(["index", "list", "-q"])).stdout)).toHaveLength(2);
    const removed = await run.soci(["index", "rm", "--ref", run.name]);
    expect(removed).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await run.soci(["index", "list", "-q"])).stdout).toBe("");
  });

  test("indexes of containerd's store live with their image, all of them, and die with it", async () => {
    const run = await runWith(both);
    await created(run, ["--all-platforms", run.name]);
    await created(run, ["--span-size", "65536", run.name]);
    await collectGarbage(run.space);
    const indexes = digestsIn((await run.soci(["index", "list", "-q"])).stdout);
    expect(indexes).toHaveLength(3);
    const blobs: string[] = [];
    for (const index of indexes) {
      const { stdout } = await run.soci(["index", "info", index]);
      blobs.push(index, ...decodeSociIndex(Buffer.from(stdout)).blobs.map(({ digest }) => digest));
    }
    for (const blob of blobs) expect(await run.space.content.info(blob)).toBeDefined();

    await run.space.images.delete(run.name, { sync: true });
    for (const blob of blobs) expect(await run.space.content.info(blob)).toBeUndefined();
    expect((await run.soci(["index", "list", "-q"])).stdout).toBe("");
    expect((await run.soci(["ztoc", "list", "-q"])).stdout).toBe("");
  });

  test("an index that is removed takes its zTOCs and its label with it", async () => {
    const run = await runWith();
    const index = await created(run, [run.name]);
    expect(Object.values((await run.space.images.get(run.name))?.labels ?? {})).toContain(index);
    await run.soci(["index", "rm", index]);
    await collectGarbage(run.space);
    expect((await run.space.images.get(run.name))?.labels).toEqual({});
    expect((await run.soci(["ztoc", "list", "-q"])).stdout).toBe("");
  });

  test("rebuild-db finds what is in containerd's store, of both versions", async () => {
    const run = await runWith(both);
    const flags = ["--min-layer-size", "0", "--prefetch-file", "etc/hostname"];
    await run.soci(["create", ...flags, run.name]);
    const converted = `${run.name}-soci`;
    expect((await run.soci(["convert", ...flags, run.name, converted])).code).toBe(0);
    const state = async () => ({
      indexes: lines((await run.soci(["index", "list"])).stdout.replace(/\S+ ago/g, "")),
      ztocs: (await run.soci(["ztoc", "list"])).stdout,
      prefetch: digestsIn((await run.soci(["prefetch", "list"])).stdout),
    });
    const before = await state();
    expect(before.prefetch).toHaveLength(2);
    const fresh = {
      ...run,
      soci: (argv: readonly string[]) => run.soci(["--root", `${run.root}-new`, ...argv]),
    };
    expect((await fresh.soci(["index", "list", "-q"])).stdout).toBe("");
    expect(await fresh.soci(["rebuild-db"])).toEqual({ code: 0, stdout: "", stderr: "" });
    const after = {
      indexes: lines((await fresh.soci(["index", "list"])).stdout.replace(/\S+ ago/g, "")),
      ztocs: (await fresh.soci(["ztoc", "list"])).stdout,
      prefetch: digestsIn((await fresh.soci(["prefetch", "list"])).stdout),
    };
    expect(after.ztocs).toBe(before.ztocs);
    expect(after.prefetch).toEqual(before.prefetch);
    expect(after.indexes.map((line) => line.trimEnd())).toEqual(
      before.indexes.map((line) => line.trimEnd()),
    );
  });

  test.each([{ contentStore: "containerd" as const }, { contentStore: "soci" as const }])(
    "convert makes an image that is whole in containerd, with the store $contentStore",
    async ({ contentStore }) => {
      const run = await runWith(both, contentStore);
      const name = `${run.name}-soci`;
      const convert = ["convert", "--min-layer-size", "0", run.name, name];
      expect(await run.soci(convert)).toMatchObject({ code: 0, stderr: "" });
      const target = (await run.space.images.get(name))?.target;
      expect((await run.soci(convert)).code).toBe(0);
      expect((await run.space.images.get(name))?.target).toEqual(target);

      await run.space.images.delete(run.name, { sync: true });
      const source = await readAll(run, target?.digest ?? "");
      const { manifests } = parseImageIndex(source);
      expect(manifests).toHaveLength(3);
      for (const { digest } of manifests) {
        const { config, layers } = parseImageManifest(await readAll(run, digest));
        for (const blob of [config, ...layers]) {
          expect((await run.space.content.info(blob.digest))?.size).toBe(blob.size);
        }
      }
      const { stdout } = await run.soci(["index", "list", "--ref", name]);
      expect(stdout).toContain("    v2    ");
      const index = decodeSociIndex(await readAll(run, manifests[2]?.digest ?? ""));
      const listed = await run.soci(["ztoc", "ls", "-q", "--image-ref", name]);
      expect(listed.stdout).toBe(index.blobs.map(({ digest }) => `${digest}\n`).join(""));
    },
  );

  test("ztoc get-file prints a file and a line end, and writes exact bytes", async () => {
    const run = await runWith();
    await created(run, [run.name]);
    const ztocs = digestsIn((await run.soci(["ztoc", "ls", "-q", "--image-ref", run.name])).stdout);
    const [ofBottom = "", ofTop = ""] = ztocs;
    const get = (...argv: readonly string[]) => run.soci(["ztoc", "get-file", ...argv]);
    expect(await get(ofBottom, "etc/hostname")).toMatchObject({ code: 0, stdout: "golden\n\n" });
    expect(await get(ofBottom, "etc/link")).toMatchObject({ code: 0, stdout: "golden\n\n" });
    expect(await get(ofBottom, "etc/empty")).toMatchObject({ code: 0, stdout: "\n" });
    expect(await get(ofBottom, "/etc/hostname")).toMatchObject({
      code: 1,
      stderr: "soci: file /etc/hostname does not exist in metadata\n",
    });
    const out = stage.directory.join(`tool-${images}`);
    expect((await get("-o", out, ofTop, "usr/bin/tool")).code).toBe(0);
    expect((await readFile(out)).equals(sampleBytes(200_000, 4))).toBe(true);
    expect((await stat(out)).mode & 0o777).toBe(0o644);
    await run.space.content.delete(top?.descriptor.digest ?? "");
    expect(await get(ofTop, "usr/bin/tool")).toMatchObject({
      code: 1,
      stderr: `soci: content digest ${top?.descriptor.digest}: not found\n`,
    });
  });

  test("layers that were never pulled are read from the registry, to index and to look at them", async () => {
    const run = stage.newRun();
    const name = newName();
    const repository = name.split("/")[1]?.split(":")[0] ?? "";
    await addImage(stage.registry, repository, { image, tag: "v1" });
    await putContainerdImage(run.space, { name, image, without: layerDigests });
    await created(run, [name]);
    const env = {
      CONTAINERD_ADDRESS: stage.containerd.address,
      CONTAINERD_NAMESPACE: run.space.name,
    };
    const cat = await runInProcess(
      ["cat", "--root", stage.directory.join("other"), `containerd:${name}`, "/etc/hostname"],
      { env, cwd: stage.directory.path },
    );
    expect(cat).toMatchObject({ code: 0, stdout: "golden\n" });
    for (const layer of layerDigests) {
      expect(await run.space.content.info(layer)).toBeUndefined();
    }
  });

  test("sociable reads containerd:REF by flags, and says when there is no such image", async () => {
    const run = await runWith();
    const flags = ["-a", stage.containerd.address, "-n", run.space.name];
    const root = ["--root", stage.directory.join("other")];
    const options = { cwd: stage.directory.path };
    const ls = await runInProcess(
      ["ls", ...root, ...flags, `containerd:${run.name}`, "/etc"],
      options,
    );
    expect({ code: ls.code, names: lines(ls.stdout) }).toEqual({
      code: 0,
      names: ["empty", "hostname", "link"],
    });
    const none = await runInProcess(
      ["ls", ...root, ...flags, "containerd:registry.example/none:v1", "/etc"],
      options,
    );
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('image "registry.example/none:v1": not found');
  });

  test.each([
    { argv: ["create", "NONE"], text: 'image "NONE": not found' },
    { argv: ["create", "--span-size=-1", "NAME"], text: "span size must be >= 0" },
    { argv: ["create", "--min-layer-size", "-1", "NAME"], text: "min layer size must be >= 0" },
    {
      argv: ["create", "-p", "linux/ppc64le", "NAME"],
      text: "image manifest for linux/ppc64le: not found",
    },
    {
      argv: ["convert", "-p", "linux/ppc64le", "--min-layer-size", "0", "NAME", "NAME-x"],
      text: "image manifest for linux/ppc64le: not found",
    },
    {
      argv: ["create", "-p", "a/b/c/d/e", "NAME"],
      text: 'could not parse platform a/b/c/d/e: "d/e" is an invalid component of "a/b/c/d/e": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
    },
    {
      argv: ["create", "NAME"],
      text: "no ztocs created, all layers either skipped or produced errors",
    },
    { argv: ["convert", "NONE", "x/y:z"], text: 'image "NONE": not found' },
    { argv: ["push", "NONE"], text: 'image "NONE": not found' },
    { argv: ["push", "-p", "linux/ppc64le", "NAME"], text: "not found" },
    {
      argv: ["push", "--existing-index", "bogus", "NAME"],
      text: "unexpected value for flag existing-index: bogus, expected types [warn skip allow]",
    },
    {
      argv: ["push", "NAME"],
      text: `could not find any soci index manifest v1 to push for platform ${HOST.os}/${HOST.architecture}`,
    },
    { argv: ["index", "list", "--ref", "NONE"], text: 'image "NONE": not found' },
    {
      argv: ["index", "list", "--ref", "NAME", "-p", "linux/ppc64le"],
      text: "image manifest for platform linux/ppc64le: not found",
    },
    {
      argv: ["ztoc", "list", "--image-ref", "NAME", "--ztoc-digest", `sha256:${"0".repeat(64)}`],
      text: "the specified ztoc doesn't exist or is not associated with the specified image",
    },
  ])("fails as the Go tool does: $argv", async ({ argv, text }) => {
    const { soci, name } = await runWith(both);
    const { code, stderr } = await soci(argv.map((word) => word.replace("NAME", name)));
    expect({ code, stderr }).toEqual({ code: 1, stderr: `soci: ${text}\n` });
  });

  test("prefetch artifacts are listed and shown", async () => {
    const run = await runWith();
    await writeFile(stage.directory.join("files.json"), '["usr/bin/tool"]');
    const flags = ["--prefetch-file", "etc/hostname,nosuch", "--prefetch-files-json", "files.json"];
    const { code, stdout, stderr } = await run.soci([
      "create",
      "--min-layer-size",
      "0",
      ...flags,
      run.name,
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Created prefetch artifact for layer ${bottom?.descriptor.digest}: `);
    expect(stdout).toContain(`Created prefetch artifact for layer ${top?.descriptor.digest}: `);
    expect(stderr).toMatch(
      /^time="\S+" level=warning msg="prefetch file nosuch not found in any layer"\n$/,
    );
    const listed = JSON.parse((await run.soci(["prefetch", "ls", "--json"])).stdout);
    expect(listed).toHaveLength(2);
    const info = await run.soci(["prefetch", "info", "--json", listed[0].Digest]);
    expect(info.stdout).toContain("Total spans to prefetch: 1\n\nRaw JSON:\n{\n");
  });

  test("a containerd that is gone is an error, and nothing hangs", async () => {
    const { root, name } = await runWith();
    const argv = ["--address", stage.directory.join("gone.sock"), "--root", root];
    const { soci } = stage.newRun();
    const { code, stderr } = await soci([...argv, "create", name]);
    expect(code).toBe(1);
    expect(stderr).toStartWith("soci: ");
  });
});

async function readAll({ space }: SociRun, digest: string): Promise<Uint8Array> {
  const size = (await space.content.info(digest))?.size ?? 0;
  return Buffer.concat(await Array.fromAsync(space.content.read({ digest, size })));
}
