/** One challenge of a WWW-Authenticate header. Scheme and parameter names are in lower case. */
export interface AuthChallenge {
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

const MAX_HEADER = 8192;
const SCHEME = /^[\s,]*([!#$%&'*+.^_`|~\w-]+)(?:\s+|$|(?=,))/;
const PARAM = /^[\s,]*([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/;

/** Reads a WWW-Authenticate header as far as it can be understood. https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 */
export function parseChallenges(header: string): AuthChallenge[] {
  const challenges: AuthChallenge[] = [];
  let rest = header.slice(0, MAX_HEADER);
  for (;;) {
    const scheme = SCHEME.exec(rest);
    if (scheme?.[1] === undefined) {
      return challenges;
    }
    rest = rest.slice(scheme[0].length);
    const params = new Map<string, string>();
    for (let match = PARAM.exec(rest); match !== null; match = PARAM.exec(rest)) {
      const [whole, name = "", quoted, token = ""] = match;
      params.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? token);
      rest = rest.slice(whole.length);
    }
    challenges.push({ scheme: scheme[1].toLowerCase(), params });
  }
}
