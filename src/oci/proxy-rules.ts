import { BlockList, isIP } from "node:net";
import { SociError } from "../errors.ts";

/** Texts as HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold them. */
export interface ProxySettings {
  /** For http:// URLs: a URL, or HOST[:PORT]. */
  readonly httpProxy?: string | undefined;
  /** For https:// URLs. */
  readonly httpsProxy?: string | undefined;
  /** Hosts that are spoken to directly: names with their subdomains, addresses, networks, with a port or without, `*` for all. */
  readonly noProxy?: string | undefined;
}

interface Target {
  /** Lower case, without brackets. */
  readonly host: string;
  readonly port: string;
}

/**
 * The rules of Go's programs, which the other tools around images follow: this machine is never
 * proxied; ".x.org" means the names below x.org, "x.org" itself, too.
 * https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 * The returned function throws invalid-argument for a proxy that cannot be used.
 */
export function proxyRules({
  httpProxy = "",
  httpsProxy = "",
  noProxy = "",
}: ProxySettings): (url: URL) => URL | undefined {
  const exceptions = noProxy
    .split(",")
    .map((text) => text.trim().toLowerCase())
    .filter((text) => text !== "")
    .map((text) => parseException(text));
  return ({ protocol, hostname, port }) => {
    const isTls = protocol === "https:";
    const proxy = isTls ? httpsProxy : httpProxy;
    const host = bare(hostname.toLowerCase());
    const target = { host, port: port === "" ? (isTls ? "443" : "80") : port };
    const isDirect =
      proxy === "" || isThisMachine(host) || exceptions.some((matches) => matches(target));
    return isDirect ? undefined : parseProxy(proxy, isTls ? "HTTPS_PROXY" : "HTTP_PROXY");
  };
}

function parseProxy(text: string, name: string): URL {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    // Not quoted: it may hold a password.
    const scheme = /^([a-z0-9+.-]{1,20}):\/\//i.exec(text)?.[1];
    const found = scheme === undefined ? "no URL" : `a ${scheme}:// URL`;
    throw new SociError(
      "invalid-argument",
      `Cannot use the proxy in ${name}: it is ${found}, want http:// or https://`,
    );
  }
  return url;
}

function isThisMachine(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function parseException(text: string): (target: Target) => boolean {
  if (text === "*") {
    return () => true;
  }
  const network = parseNetwork(text);
  if (network !== undefined) {
    return ({ host }) => isIP(host) !== 0 && network.check(host, family(host));
  }
  const [, name = text, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(text) ?? [];
  const host = bare(name);
  const isPort = (target: Target): boolean => port === undefined || port === target.port;
  if (isIP(host) !== 0) {
    const addresses = new BlockList();
    addresses.addAddress(host, family(host));
    return (target) =>
      isIP(target.host) !== 0 &&
      addresses.check(target.host, family(target.host)) &&
      isPort(target);
  }
  const below = host.replace(/^(?:\*?\.)?/, ".");
  const itself = /^\*?\./.test(host) ? undefined : host;
  return (target) =>
    below !== "." && (target.host.endsWith(below) || target.host === itself) && isPort(target);
}

function parseNetwork(text: string): BlockList | undefined {
  const [, address = "", bits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (bits === "" || Number(bits) > most) {
    return undefined;
  }
  const list = new BlockList();
  list.addSubnet(address, Number(bits), family(address));
  return list;
}

function family(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 4 ? "ipv4" : "ipv6";
}

function bare(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}
