import { describe, expect, test } from "bun:test";
import { loginFiles } from "../../src/config/login-files.ts";

function paths(env: Readonly<Record<string, string>>, uid = 1000): readonly string[] {
  return loginFiles({ uid, env }).map(({ path }) => path);
}

describe("loginFiles()", () => {
  test("looks in the home directory, docker first", () => {
    expect(paths({ HOME: "/home/me" })).toEqual([
      "/home/me/.docker/config.json",
      "/run/containers/1000/auth.json",
      "/home/me/.config/containers/auth.json",
    ]);
  });

  test("goes where the environment says", () => {
    expect(
      paths({
        HOME: "/home/me",
        DOCKER_CONFIG: "/docker",
        XDG_RUNTIME_DIR: "/run/user/1000",
        XDG_CONFIG_HOME: "/config",
      }),
    ).toEqual([
      "/docker/config.json",
      "/run/user/1000/containers/auth.json",
      "/config/containers/auth.json",
    ]);
  });

  test("needs the file that REGISTRY_AUTH_FILE names, and looks there first", () => {
    const [first, ...rest] = loginFiles({ uid: 0, env: { REGISTRY_AUTH_FILE: "auth.json" } });
    expect(first).toEqual({ path: "auth.json", isRequired: true });
    expect(rest.some(({ isRequired }) => isRequired)).toBe(false);
  });

  test("does without a home directory, and ignores empty and relative ones", () => {
    expect(paths({ HOME: "", XDG_RUNTIME_DIR: "run", REGISTRY_AUTH_FILE: "" }, 0)).toEqual([
      "/run/containers/0/auth.json",
    ]);
  });
});
