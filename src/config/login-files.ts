import { isAbsolute, join } from "node:path";

export interface LoginFilesOptions {
  /** Effective user id. */
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A file of logins; one that somebody has named must be there. */
export interface LoginFilePath {
  readonly path: string;
  readonly isRequired: boolean;
}

/**
 * Where `docker login`, `podman login` and `skopeo login` leave their logins, the first to look at
 * first: $REGISTRY_AUTH_FILE; config.json of docker; auth.json of podman and skopeo.
 * https://docs.docker.com/reference/cli/docker/#environment-variables
 * https://github.com/containers/image/blob/v5.34.0/docs/containers-auth.json.5.md
 */
export function loginFiles({ uid, env }: LoginFilesOptions): readonly LoginFilePath[] {
  const set = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const absolute = (name: string): string | undefined => {
    const path = set(name);
    return path !== undefined && isAbsolute(path) ? path : undefined;
  };
  const home = absolute("HOME");
  const inHome = (name: string): string | undefined =>
    home === undefined ? undefined : join(home, name);
  const named = set("REGISTRY_AUTH_FILE");
  const docker = set("DOCKER_CONFIG") ?? inHome(".docker");
  const runtime = absolute("XDG_RUNTIME_DIR") ?? `/run/containers/${uid}`;
  const config = absolute("XDG_CONFIG_HOME") ?? inHome(".config");
  const usual = [
    docker === undefined ? undefined : join(docker, "config.json"),
    // Without a session of a user's own, podman adds the user id to the path itself.
    join(runtime, absolute("XDG_RUNTIME_DIR") === undefined ? "" : "containers", "auth.json"),
    config === undefined ? undefined : join(config, "containers/auth.json"),
  ].filter((path) => path !== undefined);
  return [
    ...(named === undefined ? [] : [{ path: named, isRequired: true }]),
    ...usual.map((path) => ({ path, isRequired: false })),
  ];
}
