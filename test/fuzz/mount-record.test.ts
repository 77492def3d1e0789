import { expect } from "bun:test";
import fc from "fast-check";
import { keyByZtoc } from "../../src/cache/layer-key.ts";
import {
  decodeMountRecord,
  encodeMountRecord,
  type MountRecord,
} from "../../src/daemon/mount-record.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const u32 = fc.nat(2 ** 32 - 1);

const record: fc.Arbitrary<MountRecord> = fc.record({
  directory: fc.string().map((name) => `/${name}`),
  device: fc.nat(2 ** 20 - 1).map((minor) => `0:${minor}`),
  treeKey: fc.constantFrom("0123456789abcdef", "f".repeat(64)),
  layers: fc.array(
    fc
      .record({ digest: fc.string().map(digestOf), size: fc.maxSafeNat(), isWhole: fc.boolean() })
      .map(({ digest, size, isWhole }) => ({
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest,
        size,
        cacheKey: isWhole ? digest : keyByZtoc(digest, digestOf("zTOC")),
      })),
    { maxLength: 5 },
  ),
  negotiated: fc.record({
    minor: u32,
    kernelMinor: u32,
    flags: u32,
    flags2: u32,
    maxReadahead: u32,
    maxRead: u32,
    maxBackground: u32,
  }),
});

fuzz("decodeMountRecord() gives back what was encoded", { runs: 500 }, record, (given) => {
  expect(decodeMountRecord(encodeMountRecord(given), "record")).toEqual(given);
});

fuzz(
  "decodeMountRecord() refuses what is damaged, or takes what it can give back",
  { runs: 2000 },
  record.chain((given) => mutationsOf([encodeMountRecord(given)])),
  (bytes) => {
    const taken = acceptedBy(
      outcomeOf(() => decodeMountRecord(bytes, "record"), ["data-loss", "unsupported"]),
    );
    if (taken === undefined) return;
    expect(decodeMountRecord(encodeMountRecord(taken), "record")).toEqual(taken);
  },
);
