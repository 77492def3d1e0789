import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bundledPackages } from "../../scripts/bundled-packages.ts";
import { licenseText } from "../../scripts/licenses.ts";
import { buildWasm } from "../../scripts/project.ts";
import { RELEASE_TARGETS, RUNTIME_VERSION } from "../../scripts/release-targets.ts";
import { sha256OfFile } from "../../src/install/sha256.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const BUILD = join(import.meta.dirname, "../../scripts/build.ts");

describe("RELEASE_TARGETS", () => {
  test("are of the runtime that builds them", () => {
    expect(RUNTIME_VERSION).toBe(Bun.version);
  });

  test("have the hash that package-lock.json has, where it has the package", async () => {
    const lock = await Bun.file(join(import.meta.dirname, "../../package-lock.json")).json();
    for (const { package: name, integrity } of RELEASE_TARGETS) {
      const entry = lock.packages[`node_modules/${name}`];
      expect(entry?.integrity ?? integrity).toBe(integrity);
    }
  });
});

describe("bundledPackages()", () => {
  test("names each package once, with a licence that may be bundled", async () => {
    await buildWasm();
    const packages = await bundledPackages();
    const names = packages.map(({ name }) => name);
    expect(names).toContain("citty");
    expect(names).not.toContain("fast-check");
    expect(new Set(names).size).toBe(names.length);
    const text = licenseText(packages);
    expect(packages.filter((found) => !text.includes(found.text))).toEqual([]);
  }, 60_000);
});

test("two builds of one commit are the same bytes", async () => {
  await using dir = await tempDir();
  const digests: (string | undefined)[] = [];
  for (const name of ["first", "second"]) {
    const outfile = dir.join(name, "program");
    const { code, stderr } = await runProgram([process.execPath, BUILD, "--outfile", outfile]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    digests.push(await sha256OfFile(outfile));
  }
  expect(digests[0]).toBeString();
  expect(digests[1]).toBe(digests[0]);
}, 120_000);
