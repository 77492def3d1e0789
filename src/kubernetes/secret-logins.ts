import type { Credentials } from "../oci/credentials.ts";
import { findLogin, loginPath } from "../oci/find-login.ts";

export interface LoginQuestion {
  readonly host: string;
  readonly repository: string | undefined;
  readonly isRefused: (credentials: Credentials) => boolean;
}

type Logins = ReadonlyMap<string, Credentials>;

const MAX_SECRETS = 20_000;
const MAX_LOGINS = 100_000;

/** The logins of all secrets of a cluster, by the secrets' names. */
export class SecretLogins {
  /** The one changed last at the end. */
  readonly #secrets = new Map<string, Logins>();
  #count = 0;

  get size(): number {
    return this.#secrets.size;
  }

  /** Takes a secret, or its new state; `false` when there are too many. */
  set(name: string, logins: Logins): boolean {
    this.delete(name);
    if (this.#secrets.size >= MAX_SECRETS || this.#count + logins.size > MAX_LOGINS) return false;
    this.#secrets.set(name, logins);
    this.#count += logins.size;
    return true;
  }

  delete(name: string): void {
    this.#count -= this.#secrets.get(name)?.size ?? 0;
    this.#secrets.delete(name);
  }

  clear(): void {
    this.#secrets.clear();
    this.#count = 0;
  }

  /** Of the secret changed last that has one for the host; those with wildcards come second. */
  find({ host, repository, isRefused }: LoginQuestion): Credentials | undefined {
    const newestFirst = [...this.#secrets.values()].reverse();
    const named = newestFirst.map((logins) => findLogin(logins, host, repository));
    const isUsable = (one: Credentials | undefined): one is Credentials =>
      one !== undefined && !isRefused(one);
    return (
      named.find(isUsable) ??
      newestFirst
        .flatMap((logins) => [...logins])
        .filter(([key]) => key.includes("*") && fits(key, host, repository))
        .map(([, credentials]) => credentials)
        .find(isUsable)
    );
  }
}

/**
 * Whether a key with wildcards is about a host: `*` stands for a part of a name between two dots.
 * https://kubernetes.io/docs/concepts/containers/images/#config-json
 */
function fits(key: string, host: string, repository = ""): boolean {
  const [pattern = "", ...path] = loginPath(key).split("/");
  const parts = repository.split("/");
  return isLike(pattern, host) && path.every((part, index) => parts[index] === part);
}

function isLike(pattern: string, host: string): boolean {
  const patternParts = pattern.split(/[.:]/);
  const parts = host.split(/[.:]/);
  const hasPort = (text: string): boolean => /:\d+$/.test(text);
  return (
    patternParts.length === parts.length &&
    hasPort(pattern) === hasPort(host) &&
    patternParts.every((part, index) => isLikePart(part, parts[index] ?? ""))
  );
}

/** Without a regular expression: many stars would make one slow. */
function isLikePart(pattern: string, part: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return part === first;
  const last = rest.pop() ?? "";
  if (!part.startsWith(first) || part.length < first.length + last.length) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = part.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return part.endsWith(last) && at <= part.length - last.length;
}
