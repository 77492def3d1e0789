import { afterAll, beforeAll, expect, test } from "bun:test";
import { symlink } from "node:fs/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { CONTENT_SERVICE } from "../../src/containerd/api/content.ts";
import { ContainerdCalls } from "../../src/containerd/containerd-calls.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseImageIndex, parseImageManifest } from "../../src/oci/manifest.ts";
import { hostPlatform } from "../../src/oci/platform.ts";
import { decodeSociIndex } from "../../src/soci/soci-index.ts";
import { collectGarbage } from "../support/containerd-garbage.ts";
import { putContainerdImage } from "../support/containerd-image.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltImage, buildImage } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildSociable, SOCIABLE } from "../support/sociable-binary.ts";
import { type SociRun, SociStage } from "./soci-stage.ts";
import { SocketRelay } from "./socket-relay.ts";

/** No two seeds have a zTOC in common: what another namespace has is not sent to containerd again. */
async function imageOfSeed(seed: number): Promise<BuiltImage> {
  // Many files: a zTOC that takes several writes.
  const many = Array.from({ length: 1500 }, (_, i) => ({
    name: `${sampleBytes(30, seed + i).toString("hex")}-${i}`,
    content: `${i}`,
  }));
  return await buildImage({
    layers: [
      { entries: [{ name: "large", content: sampleBytes(1_000_000, seed) }] },
      { entries: many },
      { entries: [{ name: "top", content: sampleBytes(100_000, seed + 1) }] },
    ],
    platform: hostPlatform(),
  });
}

const CUTS = [0, 0.15, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99];
const INTERRUPTED = 130;
const COMMANDS = [
  { command: "create", store: "containerd" },
  { command: "create", store: "soci" },
  { command: "convert", store: "containerd" },
  { command: "convert", store: "soci" },
] as const;

type Command = (typeof COMMANDS)[number];

/** Ctrl-C; containerd cannot be reached any more; containerd is killed (all of one image: namespaces share its blobs). */
type How = "interrupt" | "vanish" | "kill";

interface Ended {
  readonly code: number;
  readonly stderr: string;
}

async function readBlob({ space }: SociRun, digest: string): Promise<Uint8Array> {
  const { size = 0 } = (await space.content.info(digest)) ?? {};
  return Buffer.concat(await Array.fromAsync(space.content.read({ digest, size })));
}

/** What is listed or named, and is not there whole. */
async function damages(run: SociRun, { store }: Command): Promise<readonly string[]> {
  const needed = store === "containerd" ? [...(await listedBlobs(run))] : [];
  const damaged = [...(await unreadable(run))];
  for (const digest of [...needed, ...(await namedBlobs(run))]) {
    if ((await run.space.content.info(digest)) === undefined) damaged.push(digest);
  }
  return damaged;
}

async function listedIndexes(run: SociRun): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run.soci(["index", "list", "-q"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.split("\n").filter(Boolean);
}

/** Indexes that are listed, and their zTOCs. */
async function listedBlobs(run: SociRun): Promise<readonly string[]> {
  const blobs: string[] = [];
  for (const index of await listedIndexes(run)) {
    const { stdout } = await run.soci(["index", "info", index]);
    blobs.push(index, ...decodeSociIndex(Buffer.from(stdout)).blobs.map(({ digest }) => digest));
  }
  return blobs;
}

async function unreadable(run: SociRun): Promise<readonly string[]> {
  const indexes = await listedIndexes(run);
  const ztocs = (await listedBlobs(run)).filter((digest) => !indexes.includes(digest));
  const messages: string[] = [];
  for (const [kind, digests] of [["index", indexes] as const, ["ztoc", ztocs] as const]) {
    for (const digest of digests) {
      const { code, stderr } = await run.soci([kind, "info", digest]);
      if (code !== 0) messages.push(`${digest}: ${stderr}`);
    }
  }
  return messages;
}

/** What images of containerd name: by labels, and all that a converted one is made of. */
async function namedBlobs(run: SociRun): Promise<readonly string[]> {
  const named: string[] = [];
  for (const { name, labels, target } of await run.space.images.list([])) {
    named.push(...Object.values(labels ?? {}).filter((value) => value.startsWith("sha256:")));
    if (!name.endsWith("-soci")) continue;
    for (const { digest } of parseImageIndex(await readBlob(run, target?.digest ?? "")).manifests) {
      const { config, layers } = parseImageManifest(await readBlob(run, digest));
      named.push(digest, ...[config, ...layers].map((blob) => blob.digest));
    }
  }
  return named;
}

describeMounts(CONTAINERD_PROGRAMS, "soci cut short", () => {
  let stage: SociStage;
  let runs = 0;

  beforeAll(async () => {
    await buildSociable();
    stage = await SociStage.start();
    await symlink(SOCIABLE, stage.directory.join("soci"));
  }, 120_000);

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  const wordsOf = ({ command }: Command, name: string): readonly string[] => [
    command,
    ...["--min-layer-size", "0", name],
    ...(command === "convert" ? [`${name}-soci`] : []),
  ];

  /** One run of the binary against a containerd behind a relay; `cut` happens after so many bytes. */
  const runCut = async (
    command: Command,
    cut: { readonly afterBytes: number; readonly how: How } | undefined,
  ) => {
    runs += 1;
    const image = await imageOfSeed(cut?.how === "kill" ? 1 : 1000 * runs + 1);
    const run = stage.newRun(command.store);
    const name = "registry.test/app:v1";
    await putContainerdImage(run.space, { name, image });
    const ended = Promise.withResolvers<() => void | Promise<void>>();
    await using relay = await SocketRelay.start({
      target: stage.containerd.address,
      path: stage.directory.join(`relay-${runs}`),
      ...(cut === undefined ? {} : { afterBytes: cut.afterBytes }),
      onReached: () => ended.promise.then((act) => act()),
    });
    const globals = ["--address", stage.directory.join(`relay-${runs}`)];
    const place = ["--namespace", run.space.name, "--root", run.root];
    const words = [...globals, ...place, "--content-store", command.store];
    const child = Bun.spawn([stage.directory.join("soci"), ...words, ...wordsOf(command, name)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    ended.resolve(async () => {
      if (cut?.how === "vanish") relay.vanish();
      if (cut?.how === "interrupt") child.kill("SIGINT");
      if (cut?.how === "kill") await stage.containerd.stop("SIGKILL");
    });
    const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    if (cut?.how === "kill") await stage.containerd.restart();
    return { run, name, sent: relay.sent, ended: { code, stderr } satisfies Ended };
  };

  /** A cut at several moments: nothing half done is left, and the next run makes it whole. */
  const cutEverywhere = async (
    command: Command,
    how: How,
    shares: readonly number[] = CUTS,
  ): Promise<readonly Ended[]> => {
    const whole = await runCut(command, undefined);
    expect(whole.ended).toEqual({ code: 0, stderr: "" });
    const ends: Ended[] = [];
    for (const share of shares) {
      const afterBytes = Math.floor(whole.sent * share);
      const { run, name, ended } = await runCut(command, { afterBytes, how });
      ends.push(ended);
      expect({ share, damages: await damages(run, command) }).toEqual({ share, damages: [] });
      const { code, stderr } = await run.soci(wordsOf(command, name));
      expect({ share, code, stderr }).toEqual({ share, code: 0, stderr: "" });
      await collectGarbage(run.space);
      expect({ share, damages: await damages(run, command) }).toEqual({ share, damages: [] });
      expect((await run.soci(["index", "list", "-q"])).stdout).not.toBe("");
    }
    return ends;
  };

  test.each(COMMANDS)(
    "$command into the store $store: by a containerd that goes away at any byte",
    async (command) => {
      const ends = await cutEverywhere(command, "vanish");
      expect(ends.filter(({ code }) => code !== 0 && code !== 1)).toEqual([]);
      expect(ends.filter(({ code, stderr }) => code === 1 && stderr === "")).toEqual([]);
      expect(ends.slice(0, 5).map(({ code }) => code)).toEqual([1, 1, 1, 1, 1]);
    },
    120_000,
  );

  test.each(COMMANDS.filter(({ store }) => store === "containerd"))(
    "$command into the store $store: by a containerd that is killed",
    async (command) => {
      const ends = await cutEverywhere(command, "kill", [0, 0.2, 0.4, 0.7, 0.9]);
      expect(ends.map(({ code }) => code)).toContain(1);
      const silent = ends.filter(({ code, stderr }) => code !== 0 && !/^soci: ./.test(stderr));
      expect(silent).toEqual([]);
    },
    120_000,
  );

  test.each(COMMANDS)(
    "$command into the store $store: by Ctrl-C at any byte",
    async (command) => {
      const ends = await cutEverywhere(command, "interrupt");
      expect(ends.filter(({ code }) => code !== 0 && code !== INTERRUPTED)).toEqual([]);
      expect(ends[0]?.code).toBe(INTERRUPTED);
    },
    120_000,
  );

  test("a blob that another namespace has is written though an earlier write left something", async () => {
    const bytes = sampleBytes(30_000, 77);
    const [digest, size, ref] = [digestOf(bytes), bytes.length, "cut-short"];
    const labels = { "containerd.io/gc.root": "test" };
    const open = async function* () {
      yield bytes;
    };
    await stage.newRun().space.content.write({ digest, size }, open, { ref, labels });
    const { space } = stage.newRun();
    const client = new Client(`unix:${stage.containerd.address}`, credentials.createInsecure());
    try {
      const calls = new ContainerdCalls(client, { namespace: space.name });
      using call = calls.duplex(CONTENT_SERVICE.write, { what: "write in part" });
      const name = { ref, total: size, expected: digest };
      await call.ask({ ...name, action: "write", offset: 0, data: bytes });
    } finally {
      client.close();
    }
    await space.content.write({ digest, size }, open, { ref, labels });
    expect(await space.content.info(digest)).toMatchObject({ size });
  });
});
