import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { isLoopback, registryEndpoint } from "../../src/oci/registry-endpoint.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { formatSourceName, parseSourceName } from "../../src/oci/source-name.ts";
import { tempDir } from "../support/temp-dir.ts";

describe("parseSourceName()", () => {
  test.each([
    { text: "alpine", want: "docker.io/library/alpine:latest" },
    { text: "docker://quay.io/a/b:c", want: "quay.io/a/b:c" },
    { text: "oci:1.0", want: "oci:1.0" },
    { text: "oci:/tmp/dir", want: "oci:/tmp/dir" },
    { text: "oci:dir:v1", want: "oci:dir:v1" },
    { text: "oci-archive:f.tar:a:b", want: "oci-archive:f.tar:a:b" },
    { text: "docker-archive:f.tar:h:5/a:b", want: "docker-archive:f.tar:h:5/a:b" },
    { text: "dir:1", want: "docker.io/library/dir:1" },
  ])("reads $text as $want", ({ text, want }) => {
    expect(formatSourceName(parseSourceName(text))).toBe(want);
  });

  test.each([
    { text: "oci:", kind: "invalid-argument" },
    { text: "oci:dir:", kind: "invalid-argument" },
    { text: "docker-archive::tag", kind: "invalid-argument" },
    { text: "Not A Name", kind: "invalid-argument" },
    { text: "containerd:alpine", kind: "unsupported" },
    { text: "dir:/tmp/x", kind: "unsupported" },
  ])("throws $kind for $text", ({ text, kind }) => {
    expect(() => parseSourceName(text)).toThrow(expect.objectContaining({ kind }));
  });
});

describe("openImageSource()", () => {
  test("throws not-found for a layout that is not there", async () => {
    await using dir = await tempDir();
    await expect(openImageSource(`oci:${dir.join("none")}`)).rejects.toMatchObject({
      kind: "not-found",
    });
  });

  test("tells an archive from a layout", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("image.tar"), "");
    await expect(openImageSource(`oci:${dir.join("image.tar")}`)).rejects.toMatchObject({
      kind: "invalid-argument",
      hint: expect.stringContaining("oci-archive:"),
    });
  });
});

describe("isLoopback()", () => {
  test.each([
    { host: "localhost", want: true },
    { host: "localhost:5000", want: true },
    { host: "127.0.0.1:5000", want: true },
    { host: "127.9.9.9", want: true },
    { host: "[::1]:5000", want: true },
    { host: "localhost.example.com", want: false },
    { host: "127.0.0.1.example.com", want: false },
    { host: "10.0.0.1:5000", want: false },
  ])("says $want of $host", ({ host, want }) => {
    expect(isLoopback(host)).toBe(want);
  });
});

describe("registryEndpoint()", () => {
  test.each([
    { name: "alpine", plainHttp: undefined, want: "https://registry-1.docker.io/" },
    { name: "localhost:5000/a", plainHttp: undefined, want: "http://localhost:5000/" },
    { name: "r.test/a", plainHttp: undefined, want: "https://r.test/" },
    { name: "r.test/a", plainHttp: true, want: "http://r.test/" },
  ])("of $name with plainHttp $plainHttp is $want", ({ name, plainHttp, want }) => {
    expect(registryEndpoint(parseReference(name).registry, { plainHttp }).href).toBe(want);
  });
});
