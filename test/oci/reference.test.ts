import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { formatReference, parseReference } from "../../src/oci/reference.ts";

const DIGEST = digestOf("x");

describe("parseReference()", () => {
  test.each([
    { title: "a bare name", text: "alpine", want: "docker.io/library/alpine:latest" },
    { title: "a name of a user", text: "user/app", want: "docker.io/user/app:latest" },
    { title: "a tag", text: "alpine:3.20", want: "docker.io/library/alpine:3.20" },
    { title: "a digest", text: `alpine@${DIGEST}`, want: `docker.io/library/alpine@${DIGEST}` },
    {
      title: "tag and digest",
      text: `quay.io/a/b:1@${DIGEST}`,
      want: `quay.io/a/b:1@${DIGEST}`,
    },
    {
      title: "Docker Hub spelled out",
      text: "docker.io/alpine",
      want: "docker.io/library/alpine:latest",
    },
    { title: "Docker Hub's old host", text: "index.docker.io/a/b", want: "docker.io/a/b:latest" },
    { title: "localhost", text: "localhost/app", want: "localhost/app:latest" },
    { title: "a port", text: "localhost:5000/app", want: "localhost:5000/app:latest" },
    { title: "a port and a tag", text: "h:5000/a/b:x", want: "h:5000/a/b:x" },
    { title: "an address", text: "127.0.0.1:5000/app", want: "127.0.0.1:5000/app:latest" },
    { title: "an IPv6 address", text: "[::1]:5000/app", want: "[::1]:5000/app:latest" },
    { title: "a host with capitals", text: "Foo/bar", want: "Foo/bar:latest" },
    { title: "separators", text: "a.b/c__d-e---f/g.h", want: "a.b/c__d-e---f/g.h:latest" },
  ])("completes $title", ({ text, want }) => {
    expect(formatReference(parseReference(text))).toBe(want);
  });

  test.each([
    { title: "nothing", text: "" },
    { title: "capitals in a repository", text: "library/Alpine" },
    { title: "an empty component", text: "a//b" },
    { title: "a leading slash", text: "/a" },
    { title: "a trailing slash", text: "a/" },
    { title: "a dot component", text: "docker.io/../etc" },
    { title: "an empty tag", text: "alpine:" },
    { title: "a tag with a space", text: "alpine:a b" },
    { title: "a long tag", text: `alpine:${"a".repeat(129)}` },
    { title: "a short digest", text: "alpine@sha256:abc" },
    { title: "another algorithm", text: `alpine@sha512:${"a".repeat(128)}` },
    { title: "an image id", text: "a".repeat(64) },
    { title: "a URL", text: "https://docker.io/library/alpine" },
    { title: "a user part", text: "user:pass@host/app" },
    { title: "a port that is no number", text: "host:port/app" },
    { title: "a port above 65535", text: "localhost:65536/app" },
    { title: "an address that is none", text: "[::1::2]:5000/app" },
    { title: "a long repository", text: `h.io/${"a".repeat(256)}` },
    { title: "a newline", text: "alpine\n" },
    { title: "a query", text: "host.io/app?x=1" },
  ])("refuses $title", ({ text }) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });

  test("takes back what formatReference() wrote", () => {
    const component = fc.stringMatching(/^[a-z0-9]+([._-][a-z0-9]+)?$/);
    const host = fc.constantFrom("docker.io", "localhost:5000", "quay.io", "[::1]:80");
    fc.assert(
      fc.property(host, fc.array(component, { minLength: 2, maxLength: 4 }), (registry, path) => {
        fc.pre(path.join("/").length < 256);
        const text = `${registry}/${path.join("/")}:tag@${DIGEST}`;
        expect(formatReference(parseReference(text))).toBe(text);
      }),
    );
  });

  test("never throws anything but invalid-argument", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        try {
          parseReference(text);
        } catch (error) {
          expect(error).toMatchObject({ kind: "invalid-argument" });
        }
      }),
    );
  });
});
