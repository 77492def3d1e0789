import { dirname, isAbsolute, join } from "node:path";
import { SociError } from "../errors.ts";
import { YamlTable } from "./yaml-table.ts";

/** Bytes that stand in a kubeconfig, or in a file that it names. */
export type Material = { readonly text: string } | { readonly path: string };

/** How to speak to a cluster, files not read yet. */
export interface ClusterConfig {
  /** With a slash at the end. */
  readonly server: URL;
  readonly ca: Material | undefined;
  readonly client: { readonly cert: Material; readonly key: Material } | undefined;
  readonly skipVerify: boolean;
  readonly proxy: URL | undefined;
  readonly token: Material | undefined;
  readonly basic: { readonly username: string; readonly password: string } | undefined;
}

/** A file and what it holds. */
export interface KubeconfigFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

const MAX_BYTES = 1024 * 1024;
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

interface Entry {
  readonly table: YamlTable;
  /** What relative paths in it are relative to. */
  readonly directory: string;
}

/**
 * What the current context of one kubeconfig, or of several as $KUBECONFIG lists them, says: of what
 * is named twice the first holds. Programs that it names for getting logins are not run.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 * @throws failed-precondition with file and key, unsupported for a login by a program
 */
export function parseKubeconfig(files: readonly KubeconfigFile[]): ClusterConfig {
  const documents = files.map(({ path, bytes }) => ({
    table: new YamlTable(parseYaml(bytes, path), path),
    directory: dirname(path),
  }));
  const where = files.map(({ path }) => `"${path}"`).join(" and ");
  const current = first(documents, ({ table }) => table.string("current-context"));
  if (current === undefined) {
    throw new SociError("failed-precondition", `Cannot use ${where}: there is no current-context`);
  }
  const named = (list: string, key: string, name: string): Entry => {
    const found = first(documents, ({ table, directory }) => {
      const item = table
        .tables(list)
        .find((one) => one.string("name") === name)
        ?.table(key);
      return item === undefined ? undefined : { table: item, directory };
    });
    if (found === undefined) {
      throw new SociError(
        "failed-precondition",
        `Cannot use ${where}: ${list} has no ${key} ${JSON.stringify(name.slice(0, 100))}`,
      );
    }
    return found;
  };
  const context = named("contexts", "context", current).table;
  const cluster = context.string("cluster");
  const user = context.string("user");
  if (cluster === undefined) {
    throw context.wrong("cluster", "is missing");
  }
  return {
    ...parseCluster(named("clusters", "cluster", cluster)),
    ...parseUser(user === undefined ? undefined : named("users", "user", user)),
  };
}

function parseYaml(bytes: Uint8Array, path: string): unknown {
  if (bytes.length > MAX_BYTES) {
    throw new SociError(
      "failed-precondition",
      `Cannot use "${path}": it has ${bytes.length} bytes, want at most ${MAX_BYTES}`,
    );
  }
  const document = tryYaml(new TextDecoder().decode(bytes));
  if (document === undefined) {
    throw new SociError("failed-precondition", `Cannot use "${path}": it is no YAML`);
  }
  return document;
}

function tryYaml(text: string): unknown {
  try {
    return Bun.YAML.parse(text) ?? {};
  } catch {
    // The parser's own words may quote what is in the file.
    return undefined;
  }
}

function parseCluster({
  table,
  directory,
}: Entry): Pick<ClusterConfig, "server" | "ca" | "skipVerify" | "proxy"> {
  if (table.has("tls-server-name")) {
    throw table.wrong(
      "tls-server-name",
      "is not supported: name the server as its certificate does",
    );
  }
  const server = parseUrl(table, "server");
  if (server === undefined) {
    throw table.wrong("server", "is missing");
  }
  const skipVerify = table.boolean("insecure-skip-tls-verify") ?? false;
  return {
    server: new URL(`${server.origin}${server.pathname.replace(/\/*$/, "")}/`),
    ca: material({ table, directory }, "certificate-authority"),
    skipVerify,
    proxy: parseUrl(table, "proxy-url"),
  };
}

type User = Pick<ClusterConfig, "client" | "token" | "basic">;

function parseUser(entry: Entry | undefined): User {
  if (entry === undefined) {
    return { client: undefined, token: undefined, basic: undefined };
  }
  const { table, directory } = entry;
  for (const key of ["exec", "auth-provider", "as"]) {
    if (table.has(key)) {
      throw new SociError("unsupported", table.wrong(key, "is not supported").message, {
        hint: "Use a kubeconfig with a token, a tokenFile or a client certificate: no program is run for a login",
      });
    }
  }
  const cert = material(entry, "client-certificate");
  const key = material(entry, "client-key");
  if ((cert === undefined) !== (key === undefined)) {
    throw table.wrong(cert === undefined ? "client-certificate" : "client-key", "is missing");
  }
  const tokenFile = table.string("tokenFile");
  const token = table.string("token");
  const username = table.string("username");
  return {
    client: cert === undefined || key === undefined ? undefined : { cert, key },
    // As client-go: the file holds, for it may be renewed.
    token:
      tokenFile === undefined
        ? token === undefined
          ? undefined
          : { text: token }
        : { path: inDirectory(directory, tokenFile) },
    basic:
      username === undefined ? undefined : { username, password: table.string("password") ?? "" },
  };
}

/** `<key>-data` in base64, else the file that `<key>` names. */
function material({ table, directory }: Entry, key: string): Material | undefined {
  const data = table.string(`${key}-data`);
  if (data !== undefined) {
    if (!BASE64.test(data)) {
      throw table.wrong(`${key}-data`, "is no base64");
    }
    return { text: Buffer.from(data, "base64").toString() };
  }
  const path = table.string(key);
  return path === undefined ? undefined : { path: inDirectory(directory, path) };
}

function parseUrl(table: YamlTable, key: string): URL | undefined {
  const text = table.string(key);
  if (text === undefined) {
    return undefined;
  }
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.search !== "") {
    throw table.wrong(key, "is no http:// or https:// URL");
  }
  return url;
}

function inDirectory(directory: string, path: string): string {
  return isAbsolute(path) ? path : join(directory, path);
}

function first<T, R>(items: readonly T[], map: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = map(item);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}
