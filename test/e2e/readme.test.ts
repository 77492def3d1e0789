import { beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { exampleShape, exampleShapes } from "../support/example-shape.ts";
import { addImage, type BuiltImage } from "../support/image-builder.ts";
import { mountTemp } from "../support/mount-temp.ts";
import { BLOCKS, commandsOf, type ReadmeBlock } from "../support/readme.ts";
import { TestRegistry } from "../support/registry.ts";
import { ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { readmeImage, ReadmeStage } from "./readme-stage.ts";

let image: BuiltImage;
beforeAll(async () => {
  [image] = await Promise.all([readmeImage(), buildSociable()]);
}, 120_000);

/** Blocks that are not run here, by how they begin, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "npm run demo ": "demo.test.ts runs it; docs.test.ts looks the scripts up",
  "Over 20 ms a request ": "what the demo prints: demo.test.ts compares it",
  "npm run build ": "everything here runs what it builds; install(1) is not ours",
  "sociable install --restart-containerd": "it changes the machine: test/install has it in a root",
};

const isRun = ({ language, text }: ReadmeBlock): boolean =>
  // Settings are for docs.test.ts.
  language !== "toml" && !Object.keys(NOT_RUN).some((start) => text.startsWith(start));

/** The blocks of a section that can be run. */
function runnableOf(section: string): readonly ReadmeBlock[] {
  return BLOCKS.filter((block) => block.heading === section && isRun(block));
}

const CONTAINERS = runnableOf("Start containers from it");
const BY_HAND = runnableOf("Use it by hand");
const CONFIGURATION = runnableOf("Configuration, logs, metrics");
const LOGINS = runnableOf("Registries");
/** create and push, which others begin with. */
const INDEXING = BY_HAND.slice(0, 2);
const isMount = ({ text }: ReadmeBlock): boolean => text.includes("$ sociable mount ");

/** Runs commands in their order, and compares what they print with what is shown. */
async function play(stage: ReadmeStage, blocks: readonly ReadmeBlock[]): Promise<void> {
  const commands = blocks.flatMap(commandsOf);
  expect(commands).not.toEqual([]);
  for (const command of commands) {
    const { line, output: example = "…" } = command;
    const shape = `${exampleShape(await stage.run(command))}\n`;
    expect({ line, shape }).toEqual({ line, shape: expect.stringMatching(exampleShapes(example)) });
  }
}

async function registryWithImage(): Promise<TestRegistry> {
  const registry = TestRegistry.start();
  for (const tag of ["1.3", "1.4"]) await addImage(registry, "team/app", { image, tag });
  return registry;
}

describe("README.md", () => {
  test("has no block that nobody runs", () => {
    const known = [...CONTAINERS, ...BY_HAND, ...CONFIGURATION, ...LOGINS];
    const others = BLOCKS.filter((block) => isRun(block) && !known.includes(block));
    expect(others.map(({ text }) => text)).toEqual([]);
    const idle = Object.keys(NOT_RUN).filter(
      (start) => !BLOCKS.some(({ text }) => text.startsWith(start)),
    );
    expect(idle).toEqual([]);
  });

  test("shows what commands print that are used by hand", async () => {
    await using dir = await mountTemp();
    await using registry = await registryWithImage();
    const stage = await ReadmeStage.make({ dir, host: registry.host });
    await play(
      stage,
      BY_HAND.filter((block) => !isMount(block)),
    );
  });

  test("shows what is said of a setting that is misspelt", async () => {
    await using dir = await mountTemp();
    const file = dir.join("config.toml");
    await writeFile(file, 'metrics_address = "127.0.0.1:9550"\nlog_levle = "debug"\n');
    const stage = await ReadmeStage.make({
      dir,
      names: { "/etc/sociable/config.toml": file },
      extra: { "config check": file },
    });
    await play(stage, CONFIGURATION);
  });

  test("shows how a password is given", async () => {
    await using dir = await mountTemp();
    await using registry = await registryWithImage();
    const stage = await ReadmeStage.make({
      dir,
      host: registry.host,
      names: { "registry.example.com": registry.host },
    });
    await play(stage, INDEXING.slice(0, 1));
    registry.manners.auth = { kind: "basic", username: "ci", password: "s3cret" };
    await writeFile(dir.join("work", "password.txt"), "s3cret\n");
    await play(stage, LOGINS);
  });
});

describeMounts([], "README.md, with a mount,", () => {
  test("shows how an image is mounted and read", async () => {
    await using dir = await mountTemp();
    await using registry = await registryWithImage();
    const stage = await ReadmeStage.make({ dir, host: registry.host });
    await play(stage, [...INDEXING, ...BY_HAND.filter(isMount)]);
  });
});

describeMounts(CONTAINERD_PROGRAMS, "README.md, with containers,", () => {
  test("shows how an image is indexed, pulled, run and explained", async () => {
    await using dir = await mountTemp();
    await using host = await ServeHost.start();
    const { registry, containerd, serve } = host;
    await addImage(registry, "team/app", { image, tag: "1.4" });
    const stage = await ReadmeStage.make({
      dir,
      host: registry.host,
      // As with all defaults: who makes the index on the host itself uses the daemon's directory.
      root: serve.root,
      names: {
        "/run/sociable/sociable.sock": serve.address,
        " demo ": ` ${containerd.newId()} `,
      },
      extra: { explain: `--address ${serve.address}` },
      env: { CONTAINERD_ADDRESS: containerd.address },
    });
    await play(stage, CONTAINERS);
  });
});
