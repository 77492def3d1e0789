// Makes everything that is released, in dist/release: executables for four platforms, checksums,
// completions, licences, an SBOM, and the script that installs them. Two runs give the same bytes.
// Usage: npm run release [-- --out DIR] [--base-url URL] [--target NAME ...] [--allow-changes]
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import packageJson from "../package.json" with { type: "json" };
import { bashCompletion } from "../src/cli/completions/bash-completion.ts";
import { completionNodes } from "../src/cli/completions/completion-model.ts";
import { fishCompletion } from "../src/cli/completions/fish-completion.ts";
import { zshCompletion } from "../src/cli/completions/zsh-completion.ts";
import { commandRegistry } from "../src/cli/registry.ts";
import { bundledPackages } from "./bundled-packages.ts";
import { commit, compile } from "./compile.ts";
import { licenseText } from "./licenses.ts";
import { buildWasm, outputOf, projectPath } from "./project.ts";
import { RELEASE_TARGETS } from "./release-targets.ts";
import { runtimeOf } from "./runtime-of.ts";
import { sbomText } from "./sbom.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    out: { type: "string", default: projectPath("dist/release") },
    "base-url": { type: "string", default: "" },
    target: { type: "string", multiple: true, default: [] },
    "allow-changes": { type: "boolean", default: false },
  },
});

const targets = RELEASE_TARGETS.filter(
  ({ name }) => values.target.length === 0 || values.target.includes(name),
);
const unknown = values.target.find((name) => !targets.some((target) => target.name === name));
if (unknown !== undefined) {
  stop(
    `there is no target "${unknown}": want ${RELEASE_TARGETS.map(({ name }) => name).join(", ")}`,
  );
}
if (!/^(?:https?:\/\/[\w.:/~%-]+)?$/.test(values["base-url"])) {
  stop(`"${values["base-url"]}" is no base URL: want https://HOST/PATH`);
}
const revision = await commit();
if (revision.endsWith("-dirty") && !values["allow-changes"]) {
  stop("the sources differ from the commit: commit them, or give --allow-changes");
}

const { version } = packageJson;
const out = resolve(values.out);
const directory = join(out, `v${version}`);
await rm(directory, { recursive: true, force: true });
await mkdir(directory, { recursive: true });
if ((await buildWasm()) !== 0) process.exit(1);

for (const target of targets) {
  const outfile = join(directory, `sociable-${target.name}`);
  const platform = { target: target.bun, runtime: await runtimeOf(target) };
  if ((await compile({ outfile, platform })) !== 0) stop(`cannot compile for ${target.name}`);
  const bytes = await readFile(outfile);
  // No name and no time in its head: the same bytes every time.
  await writeFile(`${outfile}.gz`, gzipSync(bytes, { level: 9 }));
  await rm(outfile);
}

const nodes = await completionNodes(commandRegistry);
await mkdir(join(directory, "completions"));
await writeFile(join(directory, "completions/sociable.bash"), bashCompletion(nodes));
await writeFile(join(directory, "completions/_sociable"), zshCompletion(nodes));
await writeFile(join(directory, "completions/sociable.fish"), fishCompletion(nodes));

const packages = await bundledPackages();
await writeFile(join(directory, "THIRD-PARTY-LICENSES.txt"), licenseText(packages));
const seconds = Number(await outputOf(["git", "log", "-1", "--format=%ct"]));
const time = new Date(seconds * 1000).toISOString();
await writeFile(join(directory, "sbom.cdx.json"), await sbomText({ packages, targets, time }));
await writeFile(join(directory, "checksums.txt"), await checksums(directory));

const script = await readFile(projectPath("scripts/install.sh"), "utf8");
const ours = script.replace(
  '\nDEFAULT_BASE_URL=""\n',
  `\nDEFAULT_BASE_URL="${values["base-url"]}"\n`,
);
await writeFile(join(out, "install.sh"), ours);
await chmod(join(out, "install.sh"), 0o755);
await writeFile(join(out, "latest"), `${version}\n`);
console.log(`${directory}: ${targets.map(({ name }) => name).join(", ")}, of ${revision}`);

async function checksums(place: string): Promise<string> {
  const files = await readdir(place, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(place.length + 1))
    .toSorted();
  const lines = paths.map(async (path) => {
    const hash = createHash("sha256").update(await readFile(join(place, path)));
    return `${hash.digest("hex")}  ${path}\n`;
  });
  return (await Promise.all(lines)).join("");
}

function stop(reason: string): never {
  console.error(`release: ${reason}`);
  process.exit(1);
}
