import { describe, expect, test } from "bun:test";
import { editToml, type TomlEdit, undoToml } from "../../src/install/edit-toml.ts";

const file = "config.toml";
const PROXY: readonly TomlEdit[] = [
  { kind: "set", table: ["proxy_plugins", "sociable"], key: "type", value: '"snapshot"' },
  { kind: "set", table: ["proxy_plugins", "sociable"], key: "address", value: '"/run/s.sock"' },
];
const CRI = ["plugins", "io.containerd.grpc.v1.cri", "containerd"];
const SNAPSHOTTER: TomlEdit = {
  kind: "set",
  table: CRI,
  key: "snapshotter",
  value: '"sociable"',
};
const ENTRY: TomlEdit = {
  kind: "append",
  table: ["plugins", "io.containerd.transfer.v1.local", "unpack_config"],
  values: { platform: '"linux/amd64"', snapshotter: '"sociable"' },
};

const CASES = [
  {
    title: "appends a table",
    text: "version = 2 # two\n",
    edits: PROXY,
    want: 'version = 2 # two\n\n[proxy_plugins.sociable]\n  type = "snapshot"\n  address = "/run/s.sock"\n',
  },
  {
    title: "writes into an empty file",
    text: "",
    edits: PROXY.slice(0, 1),
    want: '[proxy_plugins.sociable]\n  type = "snapshot"\n',
  },
  {
    title: "ends a last line that has no end",
    text: "version = 2",
    edits: PROXY.slice(0, 1),
    want: 'version = 2\n\n[proxy_plugins.sociable]\n  type = "snapshot"\n',
  },
  {
    title: "replaces a value and keeps its comment and its indent",
    text: `[plugins]\n  [plugins."io.containerd.grpc.v1.cri".containerd]\n    snapshotter = "overlay#fs"   # ours\n    other = 1\n`,
    edits: [SNAPSHOTTER],
    want: `[plugins]\n  [plugins."io.containerd.grpc.v1.cri".containerd]\n    snapshotter = "sociable"   # ours\n    other = 1\n`,
  },
  {
    title: "adds a key after the last one of its table, before the next table",
    text: `[plugins.'io.containerd.grpc.v1.cri'.containerd]\n\tdefault = "x"\n\n# about a\n[a]\nb = [\n  1, # one\n  2,\n]\n`,
    edits: [SNAPSHOTTER],
    want: `[plugins.'io.containerd.grpc.v1.cri'.containerd]\n\tdefault = "x"\n\tsnapshotter = "sociable"\n\n# about a\n[a]\nb = [\n  1, # one\n  2,\n]\n`,
  },
  {
    title: "finds a dotted key",
    text: `[plugins]\n"io.containerd.grpc.v1.cri".containerd.snapshotter = "native"\n`,
    edits: [SNAPSHOTTER],
    want: `[plugins]\n"io.containerd.grpc.v1.cri".containerd.snapshotter = "sociable"\n`,
  },
  {
    title: "keeps carriage returns",
    text: 'version = 2\r\n[a]\r\nb = "c"\r\n',
    edits: [...PROXY.slice(0, 1), { kind: "set", table: ["a"], key: "d", value: "true" }],
    want: 'version = 2\r\n[a]\r\nb = "c"\r\nd = true\r\n\r\n[proxy_plugins.sociable]\r\n  type = "snapshot"\r\n',
  },
  {
    title: "is not misled by tables in strings of several lines",
    text: `text = """\n[proxy_plugins.sociable]\ntype = 1\n"""\n`,
    edits: PROXY.slice(0, 1),
    want: `text = """\n[proxy_plugins.sociable]\ntype = 1\n"""\n\n[proxy_plugins.sociable]\n  type = "snapshot"\n`,
  },
  {
    title: "adds an entry to a list of tables",
    text: `[[plugins."io.containerd.transfer.v1.local".unpack_config]]\nplatform = "linux"\n`,
    edits: [ENTRY],
    want: `[[plugins."io.containerd.transfer.v1.local".unpack_config]]\nplatform = "linux"\n\n[[plugins."io.containerd.transfer.v1.local".unpack_config]]\n  platform = "linux/amd64"\n  snapshotter = "sociable"\n`,
  },
] as const satisfies readonly {
  title: string;
  text: string;
  edits: readonly TomlEdit[];
  want: string;
}[];

describe("editToml()", () => {
  test.each([...CASES])("$title", ({ text, edits, want }) => {
    expect(editToml(text, edits, { file }).text).toBe(want);
  });

  test.each([...CASES])("a second time changes nothing: $title", ({ text, edits }) => {
    const once = editToml(text, edits, { file });
    expect(editToml(once.text, edits, { file })).toEqual({ text: once.text, undo: [] });
  });

  test.each([
    { title: "an inline table", text: "proxy_plugins = { other = { type = 'x' } }\n" },
    { title: "a value where a table is wanted", text: "proxy_plugins = 1\n" },
    { title: "what is not TOML", text: "version = = 2\n" },
  ])("refuses $title", ({ text }) => {
    expect(() => editToml(text, PROXY, { file })).toThrow(
      expect.objectContaining({ kind: "failed-precondition" }),
    );
  });
});

describe("undoToml()", () => {
  test.each([...CASES])("takes back: $title", ({ text, edits }) => {
    const { text: edited, undo } = editToml(text, edits, { file });
    const back = undoToml(edited, undo, { file });
    expect(back.trim()).toBe(text.trim());
  });

  test("leaves what was changed since, and takes back the rest", () => {
    const { text, undo } = editToml("version = 2\n", PROXY, { file });
    const since = `# mine\n${text.replace("/run/s.sock", "/run/mine.sock")}`;
    expect(undoToml(since, undo, { file })).toBe(
      '# mine\nversion = 2\n\n[proxy_plugins.sociable]\n  address = "/run/mine.sock"\n',
    );
  });

  test("keeps a table that has a comment of somebody", () => {
    const { text, undo } = editToml("", PROXY, { file });
    expect(undoToml(`${text}# mine\n`, undo, { file })).toBe("[proxy_plugins.sociable]\n# mine\n");
  });
});
