import { describe, expect, test } from "bun:test";
import { type FieldAdaptor, labelOf, parseFilters } from "../../src/containerd/filters.ts";

interface Entry {
  readonly name: string;
  readonly other?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

// The cases of containerd's own tests of its filters.
const ENTRIES: readonly Entry[] = [
  { name: "foo", labels: { foo: "true" } },
  { name: "bar" },
  { name: "foo", labels: { foo: "present", "more complex label": "present" } },
  { name: "bar", labels: { bar: "true" } },
  { name: "fooer", labels: { 'more complex label with \\ and "': "present" } },
  { name: "fooer", labels: { 'more complex label with \\ and ".post': "present" } },
  { name: "baz", other: "too complex, yo" },
  { name: "bazo", other: "abc" },
  { name: "compound", labels: { foo: "omg_asdf.asdf-qwer" } },
];

function adaptorOf({ name, other, labels = {} }: Entry): FieldAdaptor {
  return ([first, ...path]) => {
    switch (first) {
      case "name":
        return name;
      case "other":
        return other;
      case "labels":
        return labelOf(labels, path);
      default:
        return undefined;
    }
  };
}

function matches(...texts: string[]): number[] {
  const filter = parseFilters(texts);
  return ENTRIES.flatMap((entry, index) => (filter(adaptorOf(entry)) ? [index] : []));
}

const ALL = ENTRIES.map((_, index) => index);

describe("parseFilters()", () => {
  const cases: readonly { readonly text: string; readonly want: readonly number[] }[] = [
    { text: "", want: ALL },
    { text: "name", want: ALL },
    { text: "labels.foo", want: [0, 2, 8] },
    { text: "labels.foo,name", want: [0, 2, 8] },
    { text: "labels.foo==true", want: [0] },
    { text: "labels.foo==omg_asdf.asdf-qwer", want: [8] },
    { text: "name==bar", want: [1, 3] },
    { text: " name == bar", want: [1, 3] },
    { text: "name!=bar", want: [0, 2, 4, 5, 6, 7, 8] },
    { text: "name==bar,labels.bar", want: [3] },
    { text: 'other=="too complex, yo"', want: [6] },
    { text: "other~=[abc]+,name!=foo", want: [6, 7] },
    { text: "other~=/[abc]+/,name!=foo", want: [6, 7] },
    { text: "other~=|^[abc]{1,3}$|", want: [7] },
    { text: 'other~=/[abc]{0,1}"\\//,name!=foo', want: [] },
    { text: "other~=/^(?P<x>[[:alpha:]]+)\\\\z/", want: [7] },
    { text: "name~=(?i)^BA", want: [1, 3, 6, 7] },
    { text: "name~=[", want: [] },
    { text: "name==bar,labels.bar==wrong", want: [] },
    { text: 'name==foo,labels."more complex label"', want: [2] },
    { text: 'labels."more complex label with \\\\ and \\""==present', want: [4] },
    { text: 'labels."more complex label with \\\\ and \\"".post==present', want: [5] },
    { text: 'name=="\\x62\\141\\u0072"', want: [1, 3] },
    { text: "other!=abc", want: [0, 1, 2, 3, 4, 5, 6, 8] },
  ];
  test.each(cases)("understands $text", ({ text, want }) => {
    expect(matches(text)).toEqual([...want]);
  });

  test("takes no filter as all, and several as one or the other", () => {
    expect(matches()).toEqual(ALL);
    expect(matches("name==bar", "other==abc")).toEqual([1, 3, 7]);
  });

  test.each([
    { text: "labels.|foo|==x", at: 7 },
    { text: 'labels.?"more"', at: 7 },
    { text: "name==foo,", at: 10 },
    { text: "labels.", at: 7 },
    { text: "image~=,id?=?fbaq", at: 7 },
    { text: "labels.ns/key==value", at: 9 },
    { text: "labels.key==/value", at: 12 },
    { text: "name=foo", at: 4 },
    { text: "name===foo", at: 4 },
    { text: "name foo", at: 5 },
    { text: "name==a b", at: 7 },
    { text: 'name=="a\\q"', at: 6 },
    { text: 'name=="\\777"', at: 6 },
    { text: 'name=="\\UFFFFFFFF"', at: 6 },
    { text: "na\0me", at: 2 },
    { text: "==x", at: 0 },
  ])("refuses $text and says where", ({ text, at }) => {
    expect(() => parseFilters([text])).toThrow(
      expect.objectContaining({
        kind: "invalid-argument",
        message: expect.stringContaining(`at character ${at}:`),
      }),
    );
  });
});
