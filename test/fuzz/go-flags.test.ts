import { expect, test } from "bun:test";
import fc from "fast-check";
import { type GoFlag, GoUsageError, parseGoFlags } from "../../src/cli/soci/go-flags.ts";

const FLAGS: readonly GoFlag[] = [
  { names: ["address", "a"], type: "text", usage: "" },
  { names: ["force", "f"], type: "bool", usage: "" },
  { names: ["platform", "p"], type: "list", usage: "" },
  { names: ["span-size"], type: "int", usage: "" },
  { names: ["uploads"], type: "uint", usage: "" },
  { names: ["timeout"], type: "duration", usage: "" },
];

const word = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom("--", "-", "--=", "-=x", "--force", "-f=", "--span-size", "-p", "--timeout"),
  fc
    .tuple(fc.constantFrom(...FLAGS.flatMap(({ names }) => names)), fc.string())
    .map(([name, value]) => `--${name}=${value}`),
);

test("parseGoFlags() parses or refuses any command line; what it took can be asked for", () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: 10 }), fc.boolean(), (argv, stopsAtWord) => {
      try {
        const { values, words } = parseGoFlags(argv, { flags: FLAGS, env: {}, stopsAtWord });
        expect(argv).toEqual(expect.arrayContaining([...words]));
        values.text("address");
        values.bool("force");
        values.list("platform");
        values.integer("span-size");
        expect(values.integer("uploads")).toBeGreaterThanOrEqual(0n);
        expect(values.milliseconds("timeout")).not.toBeNaN();
      } catch (error) {
        if (!(error instanceof GoUsageError)) throw error;
      }
    }),
  );
});
