import { SociError } from "../errors.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";
import type { TomlEdit, TomlUndo } from "./edit-toml.ts";

/** What an installation has done to one path of the host, and what takes it back. */
export type InstalledFile =
  | {
      readonly kind: "created";
      readonly path: string;
      /** Of its content as we wrote it. */
      readonly sha256: string;
    }
  | {
      readonly kind: "program";
      readonly path: string;
      readonly sha256: string;
      /** Where the one that was there before is kept. */
      readonly before?: string | undefined;
    }
  | {
      readonly kind: "edited";
      readonly path: string;
      readonly sha256: string;
      /** The whole text before: empty where there was no file, `undefined` when somebody else has changed it between two of our edits. */
      readonly before?: string | undefined;
      /** Set when there was no file before. */
      readonly isNew?: true | undefined;
      readonly undo: readonly TomlUndo[];
    }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

/** Everything that `sociable uninstall` has to know. Paths are the host's. */
export interface InstallManifest {
  readonly files: readonly InstalledFile[];
  /** Directories that were made, each after those it is in. */
  readonly directories: readonly string[];
}

export const MANIFEST_PATH = "/etc/sociable/installed.json";
export const NO_MANIFEST: InstallManifest = { files: [], directories: [] };

const VERSION = 1;
const MAX_BYTES = 16 << 20;
const MAX_ENTRIES = 1000;

export function encodeManifest({ files, directories }: InstallManifest): Buffer {
  return Buffer.from(`${JSON.stringify({ version: VERSION, files, directories }, null, 2)}\n`);
}

/** @throws data-loss when it is none, unsupported when it is of a later version */
export function decodeManifest(bytes: Uint8Array): InstallManifest {
  const what = `list of installed files "${MANIFEST_PATH}"`;
  const document = new JsonObject(parseJson(bytes, what, { maxBytes: MAX_BYTES }), what);
  const version = document.size("version");
  if (version !== VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: version is ${version}, want ${VERSION}`,
    );
  }
  return {
    files: (document.optionalObjects("files", MAX_ENTRIES) ?? []).map(fileOf),
    directories: (document.optionalStrings("directories", MAX_ENTRIES) ?? []).map(hostPath),
  };
}

function fileOf(file: JsonObject): InstalledFile {
  const kind = file.string("kind");
  const path = hostPath(file.string("path"));
  if (kind === "link") return { kind, path, target: file.string("target") };
  const sha256 = file.string("sha256");
  if (kind === "created") return { kind, path, sha256 };
  const before = file.optionalString("before");
  if (kind === "program") {
    return { kind, path, sha256, before: before === undefined ? undefined : hostPath(before) };
  }
  if (kind !== "edited") {
    throw new SociError("data-loss", `Cannot use the list of installed files: kind is "${kind}"`);
  }
  const undo = (file.optionalObjects("undo", MAX_ENTRIES) ?? []).map((entry) => ({
    edit: editOf(entry.object("edit")),
    previous: entry.optionalString("previous"),
    madeTable: entry.has("madeTable") ? (true as const) : undefined,
  }));
  return { kind, path, sha256, before, isNew: file.has("isNew") ? true : undefined, undo };
}

function editOf(edit: JsonObject): TomlEdit {
  const table = edit.optionalStrings("table", MAX_ENTRIES) ?? [];
  if (edit.string("kind") === "append") {
    return { kind: "append", table, values: edit.optionalStringMap("values") ?? {} };
  }
  return { kind: "set", table, key: edit.string("key"), value: edit.string("value") };
}

/** A path that cannot lead out of the root that it is looked for in. */
function hostPath(path: string): string {
  if (!path.startsWith("/") || path.split("/").includes("..") || path.includes("\0")) {
    throw new SociError(
      "data-loss",
      `Cannot use the list of installed files: ${JSON.stringify(path)} is no absolute path`,
    );
  }
  return path;
}
