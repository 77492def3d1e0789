import { resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { SociError } from "../errors.ts";
import { ALL_CAPABILITIES, type HostCapability } from "./host-settings.ts";
import { SettingsTable } from "./settings-table.ts";
import type { TlsFiles } from "./tls-files.ts";
import { tomlLine } from "./toml-lines.ts";

/** One host of a hosts.toml, certificates not read yet. */
export interface HostEntry {
  readonly capabilities: ReadonlySet<HostCapability>;
  readonly tls: TlsFiles;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface MirrorEntry extends HostEntry {
  /** The root of its API with a slash at the end. */
  readonly api: URL;
}

export interface ServerEntry extends HostEntry {
  /** As of a mirror; `undefined` for the registry where it usually is. */
  readonly api: URL | undefined;
}

/** What a hosts.toml says. */
export interface HostsFile {
  /** In the order of the file. */
  readonly mirrors: readonly MirrorEntry[];
  /** Comes last. */
  readonly server: ServerEntry;
}

const MAX_BYTES = 1024 * 1024;
const MAX_HOSTS = 64;
const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const DURATION = /^\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))*$/;

/**
 * Reads a hosts.toml as containerd does, but for one thing: what is wrong in it is an error, where
 * containerd goes on as if the file were not there. `directory` is what file names in it are relative to.
 * https://github.com/containerd/containerd/blob/v2.0.0/docs/hosts.md
 * @throws failed-precondition with file, line and key
 */
export function parseHostsFile(
  bytes: Uint8Array,
  { path, directory }: { readonly path: string; readonly directory: string },
): HostsFile {
  if (bytes.length > MAX_BYTES) {
    throw unusable(path, `it has ${bytes.length} bytes, want at most ${MAX_BYTES}`);
  }
  const text = new TextDecoder().decode(bytes);
  const parsed = parseToml(text);
  if ("line" in parsed) {
    throw unusable(path, `line ${parsed.line}: ${parsed.problem}`);
  }
  const file = { path, lineOf: (keys: readonly string[]) => tomlLine(text, keys) };
  const top = new SettingsTable(parsed.document, file);
  const hosts = top.table("host");
  const names = hosts?.keys ?? [];
  if (names.length > MAX_HOSTS) {
    throw top.wrong("host", `has ${names.length} tables, want at most ${MAX_HOSTS}`);
  }
  const mirrors: MirrorEntry[] = [];
  for (const name of names) {
    const table = hosts?.table(name);
    if (hosts !== undefined && table !== undefined) {
      const api = parseApi(name, table, () => hosts.wrongName(name, `has a name that ${NO_URL}`));
      mirrors.push({ ...parseHost(table, directory), api });
    }
  }
  const name = top.string("server");
  const server = parseHost(top, directory);
  if (name === undefined) {
    // As containerd: what stands at the top is then about the registry where it usually is.
    return { mirrors, server: { ...server, api: undefined, capabilities: ALL_CAPABILITIES } };
  }
  const api = parseApi(name, top, () => top.wrong("server", NO_URL));
  return { mirrors, server: { ...server, api } };
}

const NO_URL = "is no http:// or https:// URL without user, query and fragment";

type Parsed = { readonly document: unknown } | { readonly line: number; readonly problem: string };

function parseToml(text: string): Parsed {
  try {
    return { document: parse(text, { maxDepth: 64 }) };
  } catch (error) {
    if (!(error instanceof TomlError)) {
      throw error;
    }
    // Behind the first line of the message stands the text itself, which may hold secrets.
    const [problem = ""] = error.message.split("\n");
    return { line: error.line, problem };
  }
}

// As containerd: /v2 goes behind the path, unless it is there or the path shall stay as it is.
function parseApi(text: string, table: SettingsTable, fail: () => SociError): URL {
  const url = URL.parse(text.startsWith("http") ? text : `https://${text}`);
  const isPlain =
    url !== null &&
    ["http:", "https:"].includes(url.protocol) &&
    [url.username, url.password, url.search, url.hash].every((part) => part === "");
  if (!isPlain) {
    throw fail();
  }
  const isWhole = table.boolean("override_path") ?? false;
  const path = url.pathname.replace(/\/{2,}/g, "/").replace(/\/$/, "");
  const root = isWhole || path.endsWith("/v2") ? path : `${path}/v2`;
  return new URL(`${url.origin}${root}/`);
}

function parseHost(table: SettingsTable, directory: string): HostEntry {
  checkDialTimeout(table);
  const inDirectory = (name: string): string => resolve(directory, name);
  return {
    capabilities: parseCapabilities(table),
    tls: {
      ca: table.strings("ca").map(inDirectory),
      client: parseClient(table, inDirectory),
      skipVerify: table.boolean("skip_verify"),
    },
    headers: parseHeaders(table.table("header")),
  };
}

function parseCapabilities(table: SettingsTable): ReadonlySet<HostCapability> {
  const names = table.strings("capabilities").map((name) => name.toLowerCase());
  const known = [...ALL_CAPABILITIES].filter((capability) => names.includes(capability));
  if (known.length < new Set(names).size) {
    throw table.wrong("capabilities", `may hold ${[...ALL_CAPABILITIES].join(", ")}, nothing else`);
  }
  return known.length === 0 ? ALL_CAPABILITIES : withReferrers(known);
}

// Before containerd 2.1 there was no word for it, and lists of referrers were pulled.
function withReferrers(known: readonly HostCapability[]): ReadonlySet<HostCapability> {
  return new Set(known.includes("pull") ? [...known, "referrers"] : known);
}

/** A file, a list of files, or a list of pairs: the first one, for TLS shows only one certificate. */
function parseClient(
  table: SettingsTable,
  inDirectory: (name: string) => string,
): TlsFiles["client"] {
  const value = table.get("client");
  const [first] = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  const pair: readonly unknown[] = Array.isArray(first) ? first : [first, undefined];
  const [cert, key] = pair;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    return undefined;
  }
  const isKey = Array.isArray(first) ? typeof key === "string" : key === undefined;
  if (typeof cert !== "string" || pair.length !== 2 || !isKey) {
    throw table.wrong("client", "is no file, list of files, or list of [certificate, key] pairs");
  }
  return {
    cert: inDirectory(cert),
    ...(typeof key === "string" ? { key: inDirectory(key) } : {}),
  };
}

function parseHeaders(table: SettingsTable | undefined): Readonly<Record<string, string>> {
  const headers: [name: string, value: string][] = [];
  for (const name of table?.keys ?? []) {
    const value = table?.strings(name).join(", ") ?? "";
    if (table !== undefined && !(HEADER_NAME.test(name) && HEADER_VALUE.test(value))) {
      throw table.wrong(name, "is no header of HTTP");
    }
    headers.push([name.toLowerCase(), value]);
  }
  return Object.fromEntries(headers);
}

// How long a connection may take is bounded in any case; but a slip in it should not go unseen.
function checkDialTimeout(table: SettingsTable): void {
  const text = table.string("dial_timeout");
  if (text !== undefined && !DURATION.test(text)) {
    throw table.wrong("dial_timeout", 'is no duration such as "10s"');
  }
}

function unusable(path: string, what: string): SociError {
  return new SociError("failed-precondition", `Cannot use "${path}": ${what}`);
}
