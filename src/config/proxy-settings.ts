/** What the environment says about proxies. */
export interface ProxyEnvironment {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
}

/**
 * Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY; where they are empty, the same in lower case.
 * https://pkg.go.dev/golang.org/x/net/http/httpproxy#FromEnvironment
 */
export function proxySettings(env: Readonly<Record<string, string | undefined>>): ProxyEnvironment {
  const any = (name: string): string | undefined =>
    [env[name], env[name.toLowerCase()]].find((value) => value !== undefined && value !== "");
  return {
    // A web server sets HTTP_PROXY from the Proxy header of its clients: https://httpoxy.org
    httpProxy: env["REQUEST_METHOD"] === undefined ? any("HTTP_PROXY") : undefined,
    httpsProxy: any("HTTPS_PROXY"),
    noProxy: any("NO_PROXY"),
  };
}
