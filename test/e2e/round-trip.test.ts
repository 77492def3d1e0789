import { beforeAll, describe, expect, test } from "bun:test";
import { isDigest } from "../../src/oci/digest.ts";
import { memoryBlobs } from "../support/blob-store.ts";
import { buildImage, buildIndex } from "../support/image-builder.ts";
import { describeWith } from "../support/describe-with.ts";
import { findDockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { TestRegistry } from "../support/registry.ts";
import {
  buildSociable,
  sociable,
  sociableJson,
  sociableOutput,
} from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { pushImage } from "./registry-copy.ts";
import { CREATE, EXPECTED, REMOVED, sampleImage } from "./sample-image.ts";

beforeAll(buildSociable, 120_000);

interface Registry extends AsyncDisposable {
  readonly host: string;
}

type StartRegistry = (temp: TempDir) => Promise<Registry>;

/** What must work with every registry. */
function tellRoundTrip(start: StartRegistry): void {
  test("create, push, then ls and cat elsewhere give the files of the image", async () => {
    await using temp = await tempDir();
    await using registry = await start(temp);
    const name = `${registry.host}/team/app:v1`;
    await pushImage(name, await sampleImage());
    const created = await sociableJson(temp.join("builder"), [...CREATE, name]);
    expect(created).toMatchObject([
      { layers: [{ status: "built" }, { status: "built" }, { status: "skipped" }, {}] },
    ]);
    await sociableOutput(temp.join("builder"), ["push", name]);

    const elsewhere = temp.join("reader");
    const { stdout, stderr } = await sociable(elsewhere, ["cat", name, ...EXPECTED.keys()]);
    expect(stderr).toBe("");
    expect(Buffer.from(stdout).equals(Buffer.concat([...EXPECTED.values()]))).toBe(true);
    for (const path of REMOVED) {
      expect(await sociable(elsewhere, ["cat", name, path])).toMatchObject({ code: 1 });
    }
    const listing = Buffer.from(await sociableOutput(elsewhere, ["ls", "-R", name])).toString();
    expect(listing).toBe(
      "/:\nbin\ncache\ndata\netc\nlib\noutside\nusr\n\n/bin:\napp\napp-2\n\n/cache:\nwords\n\n" +
        "/data:\nblob\n\n/etc:\nreplaced\n\n/lib:\nlibrary.so\n\n",
    );
  });
}

/** What the kind of registry makes a difference to. */
function tellMore(start: StartRegistry): void {
  test("several files in one cat come out in order", async () => {
    await using temp = await tempDir();
    await using registry = await start(temp);
    const name = `${registry.host}/team/app:v1`;
    await pushImage(name, await sampleImage());
    await sociableOutput(temp.join("builder"), [...CREATE, name]);
    await sociableOutput(temp.join("builder"), ["push", name]);
    const paths = ["/cache/words", "/bin/app", "/data/blob", "/cache/words", "/lib/library.so"];
    const stdout = await sociableOutput(temp.join("reader"), ["cat", name, ...paths]);
    const want = Buffer.concat(paths.map((path) => EXPECTED.get(path) ?? Buffer.alloc(0)));
    expect(Buffer.from(stdout).equals(want)).toBe(true);
  });

  test("each platform of an image has its own index", async () => {
    await using temp = await tempDir();
    await using registry = await start(temp);
    const name = `${registry.host}/team/multi:v1`;
    const images = await Promise.all(
      ["amd64", "arm64"].map(async (architecture) => {
        const platform = { os: "linux", architecture };
        const layers = [{ entries: [{ name: "arch", content: architecture }] }];
        return { image: await buildImage({ layers, platform }), platform };
      }),
    );
    await pushImage(name, buildIndex(images));
    const created = await sociableJson(temp.join("builder"), [...CREATE, "--all-platforms", name]);
    expect(created).toHaveLength(2);
    await sociableOutput(temp.join("builder"), ["push", "--all-platforms", name]);
    for (const architecture of ["amd64", "arm64"]) {
      const argv = ["cat", "--platform", `linux/${architecture}`, name, "/arch"];
      const { stdout, stderr } = await sociable(temp.join("reader"), argv);
      expect({ stdout: Buffer.from(stdout).toString(), stderr }).toEqual({
        stdout: architecture,
        stderr: "",
      });
    }
  });

  test("an image without an index is streamed, which is said", async () => {
    await using temp = await tempDir();
    await using registry = await start(temp);
    const name = `${registry.host}/team/app:v1`;
    await pushImage(name, await sampleImage());
    const { code, stdout, stderr } = await sociable(temp.join("reader"), ["cat", name, "/usr/app"]);
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("No SOCI index"),
    });
    expect(Buffer.from(stdout).equals(EXPECTED.get("/bin/app") ?? Buffer.alloc(0))).toBe(true);
  });

  test("an index pushed twice is there once", async () => {
    await using temp = await tempDir();
    await using registry = await start(temp);
    const name = `${registry.host}/team/app:v1`;
    await pushImage(name, await sampleImage());
    await sociableOutput(temp.join("builder"), [...CREATE, name]);
    await sociableOutput(temp.join("builder"), ["push", name]);
    const again = await sociableOutput(temp.join("builder"), ["push", name]);
    // What the repository lists is whole: its zTOCs are not asked for one by one.
    expect(Buffer.from(again).toString()).toMatch(/^skipped artifact with digest: sha256:/m);
    expect(Buffer.from(again).toString()).not.toMatch(/^pushing artifact/m);
  });
}

describe("the binary and a registry with the Referrers API", () => {
  tellRoundTrip(async () => TestRegistry.start());
  tellMore(async () => TestRegistry.start());
});

describe.each([
  { title: "answers ranges with the whole blob", manners: { ignoreRange: true } },
  { title: "labels blobs as gzip-encoded", manners: { contentEncodingGzipOnBlobs: true } },
  { title: "has no Referrers API", manners: { referrersApi: false } },
  { title: "gives absolute upload locations", manners: { relativeLocations: false } },
])("the binary and a registry that $title", ({ manners }) => {
  tellRoundTrip(async () => TestRegistry.start(manners));
});

describe("the binary and a registry that redirects blobs to another host", () => {
  tellRoundTrip(startRedirecting);
});

describeWith(["docker-registry"], "the binary and Debian's docker-registry", () => {
  const start: StartRegistry = (temp) =>
    startDockerRegistry(findDockerRegistry() ?? "docker-registry", { directory: temp.path });
  tellRoundTrip(start);
  tellMore(start);
});

/** A registry whose blobs are at another origin, as with S3. */
async function startRedirecting(): Promise<Registry> {
  const blobs = memoryBlobs();
  const store = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async ({ url, headers }) => {
      const digest = new URL(url).pathname.slice(1);
      const blob = isDigest(digest) ? await blobs.get(digest) : undefined;
      if (blob === undefined) return new Response(null, { status: 404 });
      const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
      if (start === undefined || last === undefined) return new Response(blob);
      return new Response(blob.slice(Number(start), Number(last) + 1), {
        status: 206,
        headers: { "content-range": `bytes ${start}-${last}/${blob.size}` },
      });
    },
  });
  const registry = TestRegistry.start(
    { redirectBlobsTo: `http://127.0.0.1:${store.port}/` },
    blobs,
  );
  return {
    host: registry.host,
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]();
      await store.stop(true);
    },
  };
}
