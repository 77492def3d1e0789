import type { Credentials } from "./credentials.ts";

const DOCKER_HUB = "docker.io";
const DOCKER_HUB_NAMES = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/** The most specific entry for a host: auth.json may have logins for parts of a registry. */
export function findLogin(
  auths: ReadonlyMap<string, Credentials>,
  host: string,
  repository: string | undefined,
): Credentials | undefined {
  const byPath = new Map([...auths].map(([key, login]) => [loginPath(key), login]));
  const parts = repository === undefined ? [] : repository.split("/");
  for (let length = parts.length; length >= 0; length--) {
    const path = parts.slice(0, length).map((part) => `/${part}`);
    const found = byPath.get(`${host}${path.join("")}`);
    if (found !== undefined) {
      return found;
    }
  }
  return byPath.get(`${host}:443`);
}

/** `HOST[:PORT][/PATH]` of a key of docker's config, without scheme and version of an API. */
export function loginPath(key: string): string {
  const bare = key.replace(/^https?:\/\//i, "").replace(/(?:\/v[12])?\/*$/i, "");
  const [host = "", ...path] = bare.split("/");
  const name = host.toLowerCase();
  return [DOCKER_HUB_NAMES.includes(name) ? DOCKER_HUB : name, ...path].join("/");
}
