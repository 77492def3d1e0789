import { isAbsolute } from "node:path";
import { SociError } from "../errors.ts";

/** Where HTTP is served. */
export type HttpAddress =
  | { readonly network: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly network: "unix"; readonly path: string };

const HOST_PORT = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s/]*)):(\d{1,5})$/i;

/**
 * `HOST:PORT`, `[::1]:PORT`, `:PORT` (every address of the machine), or a path, also as unix://PATH.
 * @throws invalid-argument
 */
export function parseHttpAddress(text: string, network: "tcp" | "unix"): HttpAddress {
  if (network === "unix") {
    const path = text.startsWith("unix://") ? text.slice("unix://".length) : text;
    if (isAbsolute(path)) return { network, path };
    throw unusable(text, "it is no absolute path, want one that starts with /");
  }
  const [, v6, name = "", digits = ""] = HOST_PORT.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port > 0xffff) throw unusable(text, "want HOST:PORT");
  // As Go: without a host, all addresses, of both versions of IP.
  return { network, hostname: (v6 ?? name) || "::", port };
}

function unusable(text: string, why: string): SociError {
  return new SociError(
    "invalid-argument",
    `Cannot serve HTTP at ${JSON.stringify(text.slice(0, 200))}: ${why}`,
  );
}
