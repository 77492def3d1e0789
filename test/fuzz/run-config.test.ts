import { expect } from "bun:test";
import fc from "fast-check";
import { parseRunConfig } from "../../src/cli/commands/inspect-config.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const CONFIG = new TextEncoder().encode(
  JSON.stringify({
    created: "2026-10-01T12:00:00Z",
    author: "x",
    config: {
      Entrypoint: ["/bin/a"],
      Cmd: null,
      Env: ["A=1", "B"],
      ExposedPorts: { "80/tcp": {} },
      Volumes: { "/v": {} },
      Labels: { __proto__x: "y" },
    },
  }),
);

fuzz(
  "parseRunConfig() takes damaged configs or refuses them",
  { runs: 300 },
  mutationsOf([CONFIG]),
  (bytes) => {
    const config = acceptedBy(outcomeOf(() => parseRunConfig(bytes), ["data-loss", "unsupported"]));
    if (config === undefined) return;
    for (const list of [
      config.entrypoint,
      config.command,
      config.envNames,
      config.exposedPorts,
      config.volumes,
    ]) {
      expect(list.every((item) => typeof item === "string")).toBe(true);
    }
  },
);

const value = fc.oneof(
  fc.constantFrom(null, "x", 1, true, [], {}, ["a"], [1], { a: {} }, { a: "b" }),
  fc.jsonValue(),
);

fuzz(
  "parseRunConfig() takes any values or refuses them, and shows no value of a variable",
  { runs: 300 },
  fc.record(
    {
      Entrypoint: value,
      Cmd: value,
      Env: fc.array(fc.string()),
      ExposedPorts: value,
      Volumes: value,
      Labels: value,
      User: value,
    },
    { requiredKeys: [] },
  ),
  (config) => {
    const bytes = new TextEncoder().encode(JSON.stringify({ config }));
    const parsed = acceptedBy(outcomeOf(() => parseRunConfig(bytes), ["data-loss", "unsupported"]));
    expect(parsed?.envNames.filter((name) => name.includes("=")) ?? []).toEqual([]);
  },
);
