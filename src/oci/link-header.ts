const MAX_HEADER = 8192;
const LINK = /<([^>]*)>((?:\s*;\s*[\w!#$&+.^`|~*-]+\s*=\s*(?:"[^"]*"|[^\s,;"]+))*)/g;
const REL_NEXT = /;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)(?:\s*;|\s*$)/i;

/** The target of the `rel="next"` link, resolved; `undefined` on the last page. https://www.rfc-editor.org/rfc/rfc8288 */
export function nextLink(header: string | null, base: URL): URL | undefined {
  for (const [, target, params] of (header ?? "").slice(0, MAX_HEADER).matchAll(LINK)) {
    if (target !== undefined && REL_NEXT.test(params ?? "")) {
      return URL.parse(target, base.href) ?? undefined;
    }
  }
  return undefined;
}
