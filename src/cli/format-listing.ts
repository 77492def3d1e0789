import type { Attributes, NodeType } from "../tree/attributes.ts";
import type { ByteName } from "../tree/byte-name.ts";
import { bytesOfName } from "../tree/byte-name.ts";
import type { FileTree } from "../tree/file-tree.ts";
import { formatByteSize } from "./byte-size.ts";
import type { Paint, Style } from "./colors.ts";
import type { ListedFile, Listing } from "./list-tree.ts";
import { safeBytes } from "./safe-text.ts";

export interface FormatListingOptions {
  readonly long: boolean;
  readonly recursive: boolean;
  /**
   * On a terminal, control characters in names are made visible and sizes are for people; elsewhere
   * names are exact bytes and sizes are numbers of bytes.
   */
  readonly isTty: boolean;
  /** Styles names by what they name. */
  readonly paint: Paint;
}

/** A listing as `ls` prints it, names as bytes. */
export function formatListing(
  tree: FileTree,
  { heading, files }: Listing,
  { long, recursive, isTty, paint }: FormatListingOptions,
): Uint8Array {
  const lines: ByteName[] = [];
  const show: ShowName = (name, attributes) => {
    const shown = isTty ? latin1(safeBytes(bytesOfName(name))) : name;
    const style = attributes === undefined ? undefined : styleOf(attributes);
    return style === undefined ? shown : (paint(style, shown) as ByteName);
  };
  if (recursive && heading !== undefined) lines.push(`/${show(heading)}:` as ByteName);
  if (long) {
    for (const line of longLines(tree, files, { show, isTty })) lines.push(line);
  } else {
    for (const { name, node } of files) lines.push(show(name, tree.attributes(node)));
  }
  if (recursive && heading !== undefined) lines.push("" as ByteName);
  return Buffer.from(lines.map((line) => `${line}\n`).join(""), "latin1");
}

/** A name as it is shown; styled where its attributes are given. */
type ShowName = (name: ByteName, attributes?: Attributes) => ByteName;

/** As ls(1) colours them. */
function styleOf({ type, mode }: Attributes): Style | undefined {
  if (type === "dir") return "blue";
  if (type === "symlink") return "cyan";
  if (type === "reg") return (mode & 0o111) === 0 ? undefined : "green";
  return "yellow";
}

/** What --json says of a file. Names that are not UTF-8 come as `pathBase64` and `targetBase64`. */
export function jsonOfFile(tree: FileTree, { path, node }: ListedFile): Record<string, unknown> {
  const attributes = tree.attributes(node);
  const { type, mode, uid, gid, size, target, xattrs } = attributes;
  return {
    ...jsonName("path", `/${path}` as ByteName),
    type,
    mode: mode.toString(8).padStart(4, "0"),
    uid,
    gid,
    size,
    mtime: isoTime(attributes),
    links: tree.links(node),
    ...(type === "symlink" ? jsonName("target", target) : {}),
    ...(type === "char" || type === "block"
      ? { devmajor: attributes.devmajor, devminor: attributes.devminor }
      : {}),
    ...(xattrs.length > 0
      ? {
          xattrs: xattrs.map(({ name, value }) => ({
            ...jsonName("name", name),
            valueBase64: Buffer.from(value).toString("base64"),
          })),
        }
      : {}),
  };
}

/** A name under `key` of a JSON object; what is not UTF-8 comes as `<key>Base64`. */
export function jsonName(key: string, name: ByteName): Record<string, string> {
  const bytes = bytesOfName(name);
  const text = Buffer.from(bytes).toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes)
    ? { [key]: text }
    : { [`${key}Base64`]: Buffer.from(bytes).toString("base64") };
}

function* longLines(
  tree: FileTree,
  files: readonly ListedFile[],
  { show, isTty }: { readonly show: ShowName; readonly isTty: boolean },
): Iterable<ByteName> {
  const rows = files.map(({ name, node }) => {
    const attributes = tree.attributes(node);
    const columns = [
      String(tree.links(node)),
      String(attributes.uid),
      String(attributes.gid),
      sizeOf(attributes, isTty),
    ];
    return { name, attributes, columns };
  });
  const widths = [0, 1, 2, 3].map((column) =>
    rows.reduce((width, { columns }) => Math.max(width, columns[column]?.length ?? 0), 0),
  );
  for (const { name, attributes, columns } of rows) {
    const aligned = columns.map((text, column) => text.padStart(widths[column] ?? 0)).join(" ");
    const time = isoTime(attributes).slice(0, 16).replace("T", " ");
    const target = attributes.type === "symlink" ? ` -> ${show(attributes.target)}` : "";
    yield `${modeOf(attributes)} ${aligned} ${time} ${show(name, attributes)}${target}` as ByteName;
  }
}

function sizeOf({ type, size, devmajor, devminor }: Attributes, isTty: boolean): string {
  if (type === "char" || type === "block") return `${devmajor}, ${devminor}`;
  return isTty ? formatByteSize(size) : String(size);
}

const TYPE_LETTERS: Readonly<Record<NodeType, string>> = {
  reg: "-",
  dir: "d",
  symlink: "l",
  char: "c",
  block: "b",
  fifo: "p",
};

/** As ls(1) shows type and mode: `drwxr-xr-t`. */
export function modeOf({ type, mode }: Attributes): string {
  const triad = (shift: number, special: number, letter: string): string => {
    const bits = (mode >> shift) & 7;
    const isSpecial = (mode & special) !== 0;
    const execute = (bits & 1) !== 0;
    const last = isSpecial ? (execute ? letter : letter.toUpperCase()) : execute ? "x" : "-";
    return `${(bits & 4) !== 0 ? "r" : "-"}${(bits & 2) !== 0 ? "w" : "-"}${last}`;
  };
  return `${TYPE_LETTERS[type]}${triad(6, 0o4000, "s")}${triad(3, 0o2000, "s")}${triad(0, 0o1000, "t")}`;
}

/** RFC 3339 in UTC; what a Date cannot hold is shown as its seconds. */
export function isoTime({ mtime }: Attributes): string {
  const date = new Date(Number(mtime.seconds) * 1000);
  return Number.isNaN(date.getTime())
    ? `@${mtime.seconds}`
    : date.toISOString().replace(".000", "");
}

function latin1(text: string): ByteName {
  return Buffer.from(text, "utf8").toString("latin1") as ByteName;
}
