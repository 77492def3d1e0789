import { expect } from "bun:test";
import fc from "fast-check";
import {
  decodeKeeperReply,
  decodeKeeperRequest,
  encodeKeeperReply,
  encodeKeeperRequest,
  type KeeperReply,
  type KeeperRequest,
} from "../../src/keeper/keeper-message.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const device = fc
  .tuple(fc.nat(99_999), fc.nat(2 ** 31))
  .map(([major, minor]) => `${major}:${minor}`);
const directory = fc
  .string({ unit: "binary", maxLength: 1000 })
  .filter((text) => !text.includes("\0") && text.isWellFormed())
  .map((text) => `/${text}`);
const deviceOrNone = fc.oneof(device, fc.constant(""));
const request: fc.Arbitrary<KeeperRequest> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), device, directory, resends: fc.boolean() }),
  fc.record({ kind: fc.constant("next" as const), after: deviceOrNone }),
  fc.record({ kind: fc.constant("drop" as const), device }),
  fc.record({ kind: fc.constant("lease" as const), timeoutMs: fc.nat(2 ** 31 - 1) }),
  fc.record({ kind: fc.constant("status" as const) }),
  fc.record({ kind: fc.constant("abort" as const), device: deviceOrNone }),
);
const u32 = fc.nat(2 ** 32 - 1);
const reply: fc.Arbitrary<KeeperReply> = fc.oneof(
  fc.record({ kind: fc.constant("done" as const) }),
  fc.record({ kind: fc.constant("held" as const), device, directory, resends: fc.boolean() }),
  fc.record({ kind: fc.constant("end" as const) }),
  fc.record({ kind: fc.constant("status" as const), pid: u32, held: u32, isLeased: fc.boolean() }),
  fc.record({
    kind: fc.constant("refused" as const),
    reason: fc.string({ unit: "grapheme-ascii", maxLength: 500 }),
  }),
);
const REFUSALS = ["data-loss", "unsupported"] as const;

fuzz("decodeKeeperRequest() gives back what was encoded", { runs: 1000 }, request, (given) => {
  expect(decodeKeeperRequest(encodeKeeperRequest(given))).toEqual(given);
});

fuzz("decodeKeeperReply() gives back what was encoded", { runs: 1000 }, reply, (given) => {
  expect(decodeKeeperReply(encodeKeeperReply(given))).toEqual(given);
});

fuzz(
  "decodeKeeperRequest() refuses what is damaged, or takes what it can give back",
  { runs: 3000 },
  request.chain((given) => mutationsOf([encodeKeeperRequest(given)])),
  (bytes) => {
    const taken = acceptedBy(outcomeOf(() => decodeKeeperRequest(bytes), [...REFUSALS]));
    if (taken === undefined) return;
    expect(decodeKeeperRequest(encodeKeeperRequest(taken))).toEqual(taken);
  },
);

fuzz(
  "decodeKeeperReply() refuses what is damaged, or takes what it can give back",
  { runs: 3000 },
  reply.chain((given) => mutationsOf([encodeKeeperReply(given)])),
  (bytes) => {
    const taken = acceptedBy(outcomeOf(() => decodeKeeperReply(bytes), [...REFUSALS]));
    if (taken === undefined) return;
    expect(decodeKeeperReply(encodeKeeperReply(taken))).toEqual(taken);
  },
);
