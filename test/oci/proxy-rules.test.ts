import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { proxyRules } from "../../src/oci/proxy-rules.ts";
import { failureOf, messagesOf } from "../support/failure.ts";

const httpProxy = "http://plain.proxy:3128";
const httpsProxy = "http://user:s3cr3t@tls.proxy:3129";

function proxyOf(url: string, noProxy = ""): string | undefined {
  return proxyRules({ httpProxy, httpsProxy, noProxy })(new URL(url))?.hostname;
}

describe("proxyRules()", () => {
  test("chooses by the protocol of the URL", () => {
    expect(proxyOf("http://example.com/")).toBe("plain.proxy");
    expect(proxyOf("https://example.com/")).toBe("tls.proxy");
  });

  test("has no proxy when there is none for the protocol", () => {
    expect(proxyRules({ httpProxy })(new URL("https://example.com/"))).toBeUndefined();
    expect(proxyRules({ httpsProxy, httpProxy: "" })(new URL("http://h/"))).toBeUndefined();
  });

  test("takes a host without protocol", () => {
    expect(proxyRules({ httpProxy: "h.proxy:1" })(new URL("http://x/"))?.href).toBe(
      "http://h.proxy:1/",
    );
  });

  test.each(["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"])(
    "never sends what is for %s to a proxy",
    (host) => {
      expect(proxyOf(`http://${host}/`)).toBeUndefined();
    },
  );

  // The table of golang.org/x/net/http/httpproxy, in our words.
  test.each([
    { noProxy: "example.com", host: "example.com", isDirect: true },
    { noProxy: "example.com", host: "sub.example.com", isDirect: true },
    { noProxy: "example.com", host: "myexample.com", isDirect: false },
    { noProxy: ".example.com", host: "sub.example.com", isDirect: true },
    { noProxy: ".example.com", host: "example.com", isDirect: false },
    { noProxy: "*.example.com", host: "a.example.com", isDirect: true },
    { noProxy: "*.example.com", host: "example.com", isDirect: false },
    { noProxy: "*foo.com", host: "barfoo.com", isDirect: false },
    { noProxy: "EXAMPLE.com", host: "example.COM", isDirect: true },
    { noProxy: " a.b , example.com ", host: "example.com", isDirect: true },
    { noProxy: "*", host: "example.com", isDirect: true },
    { noProxy: "a.b,*", host: "10.0.0.1", isDirect: true },
    { noProxy: "example.com:80", host: "example.com", isDirect: true },
    { noProxy: "example.com:80", host: "example.com:8080", isDirect: false },
    { noProxy: "example.com:8080", host: "sub.example.com:8080", isDirect: true },
    { noProxy: "10.0.0.1", host: "10.0.0.1", isDirect: true },
    { noProxy: "10.0.0.1", host: "10.0.0.11", isDirect: false },
    { noProxy: "10.0.0.1:81", host: "10.0.0.1", isDirect: false },
    { noProxy: "10.0.0.0/8", host: "10.200.3.4:5000", isDirect: true },
    { noProxy: "10.0.0.0/8", host: "11.0.0.1", isDirect: false },
    { noProxy: "10.0.0.0/99", host: "10.0.0.1", isDirect: false },
    { noProxy: "fd00::/8", host: "[fd12::1]:80", isDirect: true },
    { noProxy: "fd00::1", host: "[fd00:0::1]", isDirect: true },
    { noProxy: "[fd00::1]:80", host: "[fd00::1]", isDirect: true },
    { noProxy: "fd00::/8", host: "10.0.0.1", isDirect: false },
    { noProxy: ":80", host: "example.com", isDirect: false },
    { noProxy: "", host: "example.com", isDirect: false },
    { noProxy: ".", host: "example.com", isDirect: false },
  ])('NO_PROXY="$noProxy" and $host: direct is $isDirect', ({ noProxy, host, isDirect }) => {
    expect(proxyOf(`http://${host}/`, noProxy)).toBe(isDirect ? undefined : "plain.proxy");
  });

  test.each([
    { proxy: "socks5://user:s3cr3t@h:1", says: "a socks5:// URL" },
    { proxy: "ftp://s3cr3t", says: "a ftp:// URL" },
    { proxy: "http://s3cr3t:no-port", says: "want http:// or https://" },
    { proxy: "s3cr3t word", says: "no URL" },
  ])("refuses the proxy $proxy where it is needed, and does not quote it", ({ proxy, says }) => {
    const rules = proxyRules({ httpProxy: proxy });
    expect(rules(new URL("http://localhost/"))).toBeUndefined();
    const error = failureOf(() => rules(new URL("http://example.com/")));
    expect(error).toMatchObject({ kind: "invalid-argument" });
    expect(messagesOf(error)).toContain(says);
    expect(messagesOf(error)).not.toContain("s3cr3t");
  });

  test("takes any NO_PROXY", () => {
    fc.assert(
      fc.property(fc.string(), fc.webUrl(), (noProxy, url) => {
        const found = proxyRules({ httpProxy, httpsProxy, noProxy })(new URL(url));
        expect([undefined, "plain.proxy", "tls.proxy"]).toContain(found?.hostname);
      }),
    );
  });
});
