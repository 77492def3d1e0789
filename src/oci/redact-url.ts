/** A URL as logs and errors may show it: no user part, no query (it may carry a signature), no fragment. */
export function redactUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search === "" ? "" : "?…"}`;
}
