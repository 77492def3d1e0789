import type { Credentials } from "./credentials.ts";
import { jsonLines } from "./json-lines.ts";
import { SettingsTable } from "./settings-table.ts";
import { SociError } from "../errors.ts";

/** What docker's config.json, or the auth.json of podman and skopeo, says about logins. */
export interface DockerConfig {
  /** By key as in the file: a host, a host with a path, or a URL. */
  readonly auths: ReadonlyMap<string, Credentials>;
  /** Names of helper programs by host. */
  readonly credHelpers: ReadonlyMap<string, string>;
  /** Name of the helper program for all other hosts. */
  readonly credsStore: string | undefined;
}

const MAX_BYTES = 1024 * 1024;
const HELPER_NAME = /^[\w.-]+$/;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * Reads the logins of a config.json or auth.json; everything else in it is left alone.
 * https://github.com/docker/cli/blob/v28.0.0/cli/config/configfile/file.go
 * https://github.com/containers/image/blob/v5.34.0/docs/containers-auth.json.5.md
 * @throws failed-precondition with file, line and key
 */
export function parseDockerConfig(bytes: Uint8Array, path: string): DockerConfig {
  const text = textOf(bytes, path);
  const lines = jsonLines(text);
  if ("errorLine" in lines) {
    throw unreadable(path, `it is no JSON from line ${lines.errorLine} on`);
  }
  const top = new SettingsTable(JSON.parse(text), { path, lineOf: lines.lineOf });
  const store = top.string("credsStore");
  if (store !== undefined && !HELPER_NAME.test(store)) {
    throw top.wrong("credsStore", "is no name of a program");
  }
  return {
    auths: parseAuths(top.table("auths")),
    credHelpers: parseHelpers(top.table("credHelpers")),
    credsStore: store,
  };
}

function textOf(bytes: Uint8Array, path: string): string {
  if (bytes.length > MAX_BYTES) {
    throw unreadable(path, `it has ${bytes.length} bytes, want at most ${MAX_BYTES}`);
  }
  // Not "fatal": the decoder's error would say no more than this does.
  const text = new TextDecoder().decode(bytes);
  const wrong = text.indexOf("\ufffd");
  if (wrong >= 0) {
    const line = text.slice(0, wrong).split("\n").length;
    throw unreadable(path, `it is no UTF-8 on line ${line}`);
  }
  return text;
}

function parseAuths(table: SettingsTable | undefined): Map<string, Credentials> {
  const auths = new Map<string, Credentials>();
  for (const key of table?.keys ?? []) {
    const entry = table?.table(key);
    const credentials = entry === undefined ? undefined : parseEntry(entry);
    if (credentials !== undefined) {
      auths.set(key, credentials);
    }
  }
  return auths;
}

/** `undefined` for the empty entries that docker leaves for hosts of a helper. */
function parseEntry(entry: SettingsTable): Credentials | undefined {
  const registryToken = entry.string("registrytoken");
  if (registryToken !== undefined) {
    return { registryToken };
  }
  const { username, password } = parsePair(entry);
  const identityToken = entry.string("identitytoken");
  if (identityToken !== undefined) {
    return { identityToken, ...(username === undefined ? {} : { username }) };
  }
  return username === undefined || password === undefined ? undefined : { username, password };
}

interface Pair {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

function parsePair(entry: SettingsTable): Pair {
  const auth = entry.string("auth");
  if (auth === undefined) {
    return { username: entry.string("username"), password: entry.string("password") };
  }
  const text = BASE64.test(auth) ? Buffer.from(auth, "base64").toString() : "";
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw entry.wrong("auth", "is no USER:PASSWORD in base64");
  }
  // Old versions of docker padded the password with zeros.
  const password = text.slice(colon + 1).replace(/^\0+|\0+$/g, "");
  return { username: text.slice(0, colon), password };
}

function parseHelpers(table: SettingsTable | undefined): Map<string, string> {
  const helpers = new Map<string, string>();
  for (const key of table?.keys ?? []) {
    const name = table?.string(key);
    if (name !== undefined && !HELPER_NAME.test(name)) {
      throw table?.wrong(key, "is no name of a program") ?? new Error("unreachable");
    }
    if (name !== undefined) {
      helpers.set(key, name);
    }
  }
  return helpers;
}

function unreadable(path: string, what: string): SociError {
  return new SociError("failed-precondition", `Cannot use "${path}": ${what}`);
}
