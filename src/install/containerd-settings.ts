import { basename, dirname, isAbsolute } from "node:path";
import type { TomlTable } from "smol-toml";
import { parseToml, type TomlEdit, tomlString, valueAt } from "./edit-toml.ts";

export interface ContainerdSettingsOptions {
  /** Its main file; `undefined` when there is none. */
  readonly text: string | undefined;
  readonly file: string;
  /** As `1.6.20`; `undefined` when nobody knows. */
  readonly version: string | undefined;
  /** As containerd shall call us. */
  readonly name: string;
  readonly socket: string;
  readonly root: string;
  /** Whether Kubernetes' images shall be ours, too. */
  readonly cri: boolean;
  /** As `linux/amd64`. */
  readonly platform: string;
}

/** What containerd's files have to say so that it uses us. */
export interface ContainerdSettings {
  /** A file of its own that the main file imports; `undefined` where there is no such place. */
  readonly dropIn: { readonly file: string; readonly text: string } | undefined;
  readonly edits: readonly TomlEdit[];
  /** What was left as the administrator has it, though it keeps containerd from using us. */
  readonly conflicts: readonly string[];
}

/** containerd 2.2 imports these without being told. */
const USUAL_IMPORTS = "/etc/containerd/conf.d/*.toml";
const TRANSFER = ["plugins", "io.containerd.transfer.v1.local", "unpack_config"];

/**
 * Settings for a version of containerd. A file that the main one imports is preferred, because it
 * leaves the main one alone.
 * @throws failed-precondition when the main file is not TOML
 */
export function containerdSettings(options: ContainerdSettingsOptions): ContainerdSettings {
  const { text, file, name, version, cri } = options;
  const main = text === undefined ? undefined : parseToml(text, file);
  const form = main === undefined ? newForm(version) : formOf(main["version"]);
  const conflicts: string[] = [];
  const proxy = valueAt(main ?? {}, ["proxy_plugins", name]);
  const address = valueAt(main ?? {}, ["proxy_plugins", name, "address"]);
  if (proxy !== undefined && !isSameSocket(address, options.socket)) {
    conflicts.push(
      `${file} has proxy_plugins.${name} with another address: ${JSON.stringify(address)}, not ${options.socket}`,
    );
  }
  const plugin = conflicts.length > 0 ? [] : proxyEdits(options);
  const criEdits = cri
    ? [...criKeys(options, form), ...transferEdits(options, main ?? {}, form)]
    : [];
  const dropInFile = proxy === undefined ? dropInPlace(main?.["imports"]) : undefined;
  if (main === undefined) {
    const head: TomlEdit[] = [{ kind: "set", table: [], key: "version", value: String(form) }];
    if (form >= 3) {
      head.push({
        kind: "set",
        table: [],
        key: "imports",
        value: `[${tomlString(USUAL_IMPORTS)}]`,
      });
    }
    return { dropIn: undefined, edits: [...head, ...plugin, ...criEdits], conflicts };
  }
  if (dropInFile === undefined)
    return { dropIn: undefined, edits: [...plugin, ...criEdits], conflicts };
  // Before 2.0 a section of an imported file stands in for the whole section of the main one.
  const isMerged = majorOf(version) >= 2 || (version === undefined && form >= 3);
  const criApart = isMerged ? criEdits.filter(({ kind }) => kind === "set") : [];
  return {
    dropIn: {
      file: dropInFile,
      text: dropInText([...plugin, ...criApart], main["version"] === undefined ? undefined : form),
    },
    edits: criEdits.filter((edit) => !criApart.includes(edit)),
    conflicts,
  };
}

function proxyEdits({ name, socket, root }: ContainerdSettingsOptions): TomlEdit[] {
  const table = ["proxy_plugins", name];
  const exports = [...table, "exports"];
  return [
    { kind: "set", table, key: "type", value: '"snapshot"' },
    { kind: "set", table, key: "address", value: tomlString(socket) },
    // Kubernetes' statistics ask for it (1.7); without the second, 2.1 does not say which image a layer is of.
    { kind: "set", table: exports, key: "root", value: tomlString(root) },
    { kind: "set", table: exports, key: "enable_remote_snapshot_annotations", value: '"true"' },
  ];
}

function criKeys({ name }: ContainerdSettingsOptions, form: number): TomlEdit[] {
  const table =
    form >= 3
      ? ["plugins", "io.containerd.cri.v1.images"]
      : ["plugins", form === 2 ? "io.containerd.grpc.v1.cri" : "cri", "containerd"];
  return [
    { kind: "set", table, key: "snapshotter", value: tomlString(name) },
    { kind: "set", table, key: "disable_snapshot_annotations", value: "false" },
  ];
}

/** From 2.1 on, the transfer service pulls for Kubernetes, and unpacks where it is told it may. */
function transferEdits(
  { name, platform, version }: ContainerdSettingsOptions,
  main: TomlTable,
  form: number,
): TomlEdit[] {
  const isUsed = version === undefined ? form >= 3 : isAtLeast(version, 2, 1);
  if (!isUsed) return [];
  const listed = valueAt(main, TRANSFER);
  // A list stands in for the usual one, which has overlayfs.
  const names = listed === undefined ? ["overlayfs", name] : [name];
  const known = Array.isArray(listed) ? listed : [];
  return names
    .filter((snapshotter) => !known.some((entry) => isEntryOf(entry, snapshotter)))
    .map((snapshotter) => ({
      kind: "append",
      table: TRANSFER,
      values: { platform: tomlString(platform), snapshotter: tomlString(snapshotter) },
    }));
}

function isEntryOf(entry: unknown, snapshotter: string): boolean {
  return typeof entry === "object" && entry !== null && "snapshotter" in entry
    ? entry.snapshotter === snapshotter
    : false;
}

/** Where the main file imports all files of a directory. */
function dropInPlace(imports: unknown): string | undefined {
  if (!Array.isArray(imports)) return undefined;
  // 1.x takes a pattern that is not absolute from its working directory.
  const pattern = imports.find(
    (path: unknown): path is string =>
      typeof path === "string" &&
      isAbsolute(path) &&
      basename(path) === "*.toml" &&
      !dirname(path).includes("*"),
  );
  return pattern === undefined ? undefined : `${dirname(pattern)}/sociable.toml`;
}

function dropInText(edits: readonly TomlEdit[], version: number | undefined): string {
  const lines = ["# Written by `sociable install`; `sociable uninstall` removes it."];
  if (version !== undefined) lines.push(`version = ${version}`);
  let table: readonly string[] = [];
  for (const edit of edits) {
    if (edit.kind !== "set") continue;
    if (edit.table.join("\0") !== table.join("\0")) {
      ({ table } = edit);
      lines.push("", `[${table.map(tomlKey).join(".")}]`);
    }
    lines.push(`  ${edit.key} = ${edit.value}`);
  }
  return `${lines.join("\n")}\n`;
}

function tomlKey(name: string): string {
  return /^[\w-]+$/.test(name) ? name : tomlString(name);
}

/** A file without a version is of version 1. */
function formOf(version: unknown): number {
  return typeof version === "number" && version > 0 ? version : 1;
}

function newForm(version: string | undefined): number {
  return majorOf(version) >= 2 ? 3 : 2;
}

function majorOf(version: string | undefined): number {
  return version === undefined ? 0 : Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0);
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [, foundMajor = 0, foundMinor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

function isSameSocket(address: unknown, socket: string): boolean {
  return typeof address === "string" && address.replace(/^unix:\/\//, "") === socket;
}
