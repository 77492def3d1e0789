import { expect } from "bun:test";
import fc from "fast-check";
import { keyByZtoc } from "../../src/cache/layer-key.ts";
import {
  type ChainRecord,
  decodeChainRecord,
  encodeChainRecord,
} from "../../src/daemon/chain-record.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const u32 = fc.nat(2 ** 32 - 1);
const idMaps = fc.array(fc.record({ containerId: u32, hostId: u32, length: u32 }), {
  maxLength: 3,
});

const LAYERS = 4;
const layers = Array.from({ length: LAYERS }, (_, index) => ({
  table: index + 1,
  cacheKey:
    index % 2 === 0 ? digestOf(`${index}`) : keyByZtoc(digestOf(`${index}`), digestOf("zTOC")),
  descriptor: {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: digestOf(`${index}`),
    size: index * 1000,
  },
}));

const record: fc.Arbitrary<ChainRecord> = fc.record({
  directory: fc.string().map((name) => `/${name}`),
  type: fc.constantFrom("fuse.sociable", "fuse.rawBridge"),
  device: fc.nat(2 ** 20 - 1).map((minor) => `0:${minor}`),
  negotiated: fc.record({
    minor: u32,
    kernelMinor: u32,
    flags: u32,
    flags2: u32,
    maxReadahead: u32,
    maxRead: u32,
    maxBackground: u32,
  }),
  features: fc.record({ xattrs: fc.boolean(), acls: fc.boolean() }),
  ids: fc.option(fc.record({ uids: idMaps, gids: idMaps }), { nil: undefined }),
  mtimeMs: fc.maxSafeNat(),
  layers: fc.constant(layers),
  chains: fc
    .array(fc.array(fc.integer({ min: 1, max: LAYERS }), { maxLength: 6 }), { maxLength: 5 })
    .map((chains) =>
      chains.map((numbers, index) => ({
        treeKey: `${index}`.repeat(64),
        table: LAYERS + 1 + index,
        layers: numbers,
      })),
    ),
});

fuzz("decodeChainRecord() gives back what was encoded", { runs: 500 }, record, (given) => {
  expect(decodeChainRecord(encodeChainRecord(given), "record")).toEqual(given);
});

fuzz(
  "decodeChainRecord() refuses what is damaged, or takes what it can give back",
  { runs: 2000 },
  record.chain((given) => mutationsOf([encodeChainRecord(given)])),
  (bytes) => {
    const taken = acceptedBy(
      outcomeOf(() => decodeChainRecord(bytes, "record"), ["data-loss", "unsupported"]),
    );
    if (taken === undefined) return;
    expect(decodeChainRecord(encodeChainRecord(taken), "record")).toEqual(taken);
  },
);
