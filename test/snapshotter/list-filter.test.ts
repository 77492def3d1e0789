import { expect, test } from "bun:test";
import { parseListFilter } from "../../src/snapshotter/list-filter.ts";

const REF = 'labels."containerd.io/snapshot.ref"';

test.each([
  { title: "containerd's question", filters: [`${REF}==sha256:ab,parent=="x"`], ref: "sha256:ab" },
  { title: "the label alone", filters: [`${REF}==sha256:ab`], ref: "sha256:ab" },
  { title: "a quoted value", filters: [`${REF}=="a b",kind==active`], ref: "a b" },
  { title: "several filters", filters: [`${REF}==a`, `${REF}==b`], ref: undefined },
  { title: "another operator", filters: [`${REF}!=a`], ref: undefined },
  { title: "a regular expression", filters: [`${REF}~=a`], ref: undefined },
  { title: "another label", filters: ['labels."containerd.io/snapshotXref"==a'], ref: undefined },
  { title: "a value with an escape", filters: [`${REF}=="a\\x41"`], ref: undefined },
  { title: "another order", filters: [`parent==x,${REF}==a`], ref: undefined },
  { title: "no filter", filters: [], ref: undefined },
])("parseListFilter() sees of $title which rows can match", ({ filters, ref }) => {
  expect(parseListFilter(filters).ref).toBe(ref);
});
