import { expect } from "bun:test";
import fc from "fast-check";
import { formatPlatform, parsePlatform } from "../../src/oci/platform.ts";
import { formatReference, parseReference } from "../../src/oci/reference.ts";
import { formatSourceName, parseSourceName } from "../../src/oci/source-name.ts";
import { fuzz } from "./fuzz.ts";
import { outcomeOf, acceptedBy } from "./outcome.ts";

const piece = fc.oneof(
  fc.constantFrom("a", "b1", "localhost", "docker.io", "index.docker.io", "example.com", "[::1]"),
  fc.constantFrom(":", "/", "@", ".", "-", "_", "__", "--", "..", "5000", "latest", "UPPER", "//"),
  fc.constantFrom("oci:", "oci-archive:", "docker-archive:", "docker://", "dir:", "containerd:"),
  fc.constantFrom(`sha256:${"0".repeat(64)}`, "f".repeat(64), "sha256:00", " ", "\n", "\0", "é"),
  fc.string({ maxLength: 6 }),
  fc.nat(1200).map((length) => "x-".repeat(length)),
);
const name = fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join(""));

fuzz(
  "parseReference() reads or refuses any name, and what it reads is spelt in one way",
  { runs: 4000 },
  name,
  (text) => {
    const reference = acceptedBy(outcomeOf(() => parseReference(text), ["invalid-argument"]));
    if (reference === undefined) return;
    const { registry, repository, tag, digest } = reference;
    expect(repository.split("/").every((part) => /^[a-z0-9]/.test(part))).toBe(true);
    // Nothing of it can change the path, query or host of a URL.
    expect(/[\s?#%\\@\0]|\.\.\//.test(`${registry}/${repository}:${tag}`)).toBe(false);
    expect(URL.canParse(`https://${registry}/v2/${repository}/manifests/${tag ?? digest}`)).toBe(
      true,
    );
    const whole = formatReference(reference);
    // Complete, it may be longer than what is taken.
    if (whole.length <= 1024) expect(parseReference(whole)).toEqual(reference);
  },
);

fuzz("parseSourceName() reads or refuses any name", { runs: 3000 }, name, (text) => {
  const refusals = ["invalid-argument", "unsupported"] as const;
  const source = acceptedBy(outcomeOf(() => parseSourceName(text), refusals));
  if (source === undefined) return;
  const whole = formatSourceName(source);
  if (whole.length <= 1024) expect(parseSourceName(whole)).toEqual(source);
});

fuzz(
  "parsePlatform() reads or refuses any text",
  { runs: 1500 },
  fc
    .array(
      fc.oneof(
        fc.constantFrom("linux", "arm64", "v8", "/", "amd64", "aarch64"),
        fc.string({ maxLength: 4 }),
      ),
      {
        maxLength: 6,
      },
    )
    .map((parts) => parts.join("")),
  (text) => {
    const platform = acceptedBy(outcomeOf(() => parsePlatform(text), ["invalid-argument"]));
    if (platform !== undefined) expect(parsePlatform(formatPlatform(platform))).toEqual(platform);
  },
);
