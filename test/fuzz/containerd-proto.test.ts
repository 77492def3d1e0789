import { expect } from "bun:test";
import fc from "fast-check";
import {
  WRITE_CONTENT_REQUEST,
  type WriteContentRequest,
} from "../../src/containerd/api/content.ts";
import {
  CRI_AUTH_CONFIG,
  CRI_IMAGE_SPEC,
  PULL_IMAGE_REQUEST,
  type PullImageRequest,
} from "../../src/containerd/api/cri-images.ts";
import type { MessageCodec } from "../../src/containerd/api/protobuf.ts";
import {
  LIST_SNAPSHOTS_RESPONSE,
  type ListSnapshotsResponse,
  MOUNTS_RESPONSE,
  type MountsResponse,
  SNAPSHOT_KINDS,
  UPDATE_SNAPSHOT_REQUEST,
  type UpdateSnapshotRequest,
} from "../../src/containerd/api/snapshots.ts";
import { parseFilters } from "../../src/containerd/filters.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const text = fc.oneof(fc.string(), fc.string({ unit: "grapheme" }));
const labels = fc.dictionary(text, text, { maxKeys: 5, noNullPrototype: true });
const bytes = fc.uint8Array({ maxLength: 50 }).map((array) => new Uint8Array(array));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const integer = fc.maxSafeInteger();

const timestamp = fc.record({
  seconds: integer,
  nanos: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
});
const info = fc.record({
  name: text,
  parent: text,
  kind: fc.constantFrom(...SNAPSHOT_KINDS),
  createdAt: optional(timestamp),
  updatedAt: optional(timestamp),
  labels,
});
const update: fc.Arbitrary<UpdateSnapshotRequest> = fc.record({
  snapshotter: text,
  info: optional(info),
  updateMask: optional(fc.record({ paths: fc.array(text) })),
});
const list: fc.Arbitrary<ListSnapshotsResponse> = fc.record({ info: fc.array(info) });
const mounts: fc.Arbitrary<MountsResponse> = fc.record({
  mounts: fc.array(fc.record({ type: text, source: text, target: text, options: fc.array(text) })),
});
const write: fc.Arbitrary<WriteContentRequest> = fc.record({
  action: fc.constantFrom("stat", "write", "commit"),
  ref: text,
  total: integer,
  expected: text,
  offset: integer,
  data: bytes,
  labels,
});
const pull: fc.Arbitrary<PullImageRequest> = fc.record({
  image: optional(
    fc
      .record({ image: text, annotations: labels, userSpecifiedImage: text })
      .map((image) => CRI_IMAGE_SPEC.create(image)),
  ),
  auth: optional(
    fc
      .record({ username: text, password: text, auth: text, identityToken: text })
      .map((auth) => CRI_AUTH_CONFIG.create(auth)),
  ),
});

function fuzzMessage<T>(codec: MessageCodec<T>, messages: fc.Arbitrary<T>): void {
  fuzz(`${codec.name} is read as it was written`, { runs: 300 }, messages, (given) => {
    expect(codec.decode(codec.encode(given))).toEqual(given);
  });

  fuzz(
    `${codec.name} that is damaged is refused, or read as what can be written again`,
    { runs: 1000 },
    messages.chain((given) => mutationsOf([codec.encode(given)])),
    (wire) => {
      const taken = acceptedBy(outcomeOf(() => codec.decode(wire), ["data-loss"]));
      if (taken === undefined) return;
      expect(codec.decode(codec.encode(taken))).toEqual(taken);
    },
  );
}

fuzzMessage(UPDATE_SNAPSHOT_REQUEST, update);
fuzzMessage(LIST_SNAPSHOTS_RESPONSE, list);
fuzzMessage(MOUNTS_RESPONSE, mounts);
fuzzMessage(WRITE_CONTENT_REQUEST, write);
fuzzMessage(PULL_IMAGE_REQUEST, pull);

const quoted = (value: string): string =>
  `"${Array.from(value, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return `\\U${code.padStart(8, "0")}`;
  }).join("")}"`;

fuzz(
  "parseFilters() finds what a quoted filter names, and nothing else",
  { runs: 500 },
  fc.record({
    key: fc.string({ unit: "grapheme", minLength: 1 }),
    value: fc.string({ unit: "grapheme" }),
    other: fc.string(),
  }),
  ({ key, value, other }) => {
    const filter = parseFilters([`labels.${quoted(key)}==${quoted(value)}`]);
    const holds = (have: string): boolean =>
      filter(([first, second]) => (first === "labels" && second === key ? have : undefined));
    expect(holds(value)).toBe(true);
    expect(holds(other)).toBe(other === value);
  },
);

fuzz(
  "parseFilters() takes or refuses any text",
  { runs: 2000 },
  fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(...'ab.,=!~"/|\\ x0u\0\ufffd{'), maxLength: 30 }),
  ),
  (filter) => {
    const taken = acceptedBy(outcomeOf(() => parseFilters([filter]), ["invalid-argument"]));
    taken?.(([first]) => first);
  },
);
