import { expect } from "bun:test";
import { setImmediate } from "node:timers/promises";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import type { LayerCache } from "../../src/cache/layer-cache.ts";
import { ImageSessions } from "../../src/daemon/image-sessions.ts";
import { LayerStock } from "../../src/daemon/layer-stock.ts";
import { LazyLayers, type LazyLayersOptions } from "../../src/daemon/lazy-layers.ts";
import type { ServedLayerLease } from "../../src/daemon/served-layers.ts";
import { SociError } from "../../src/errors.ts";
import { chainKeyOf } from "../../src/image/image-layers.ts";
import { createLogger } from "../../src/observability/log.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { OCI_LAYER_GZIP } from "../../src/oci/media-types.ts";
import type { LayerRequest, ServedLayer } from "../../src/snapshotter/layer-mounter.ts";
import { layerSample, type LayerSample } from "../cache/samples.ts";
import { openStrictCache } from "../cache/shared-layer.ts";
import { tempDir } from "../support/temp-dir.ts";
import { FakeChainMounts } from "./fake-chain-mounts.ts";
import { FakePreparations, NAME, readyLayer } from "./fake-preparations.ts";
import { writeTree } from "./write-tree.ts";

/** Two layers of an image. */
export const BOTTOM: LayerSample = layerSample({ size: 100_000 });
export const TOP: LayerSample = layerSample({ size: 100_000, seed: 2 });

const SAMPLES = [BOTTOM, TOP];

export function servedOf({ digest }: Pick<LayerSample, "digest">): ServedLayer {
  const { namespace, imageReference, manifestDigest } = NAME;
  const image = { namespace, imageReference, manifestDigest };
  return { digest, cacheKey: digest, size: 1, mediaType: OCI_LAYER_GZIP, ...image };
}

/** The image's layers, bottom first. */
export const STACK: readonly ServedLayer[] = SAMPLES.map(servedOf);

/** As the mounts of tests name the stack. */
export const STACK_KEY: string = chainKeyOf(STACK.map(({ digest }) => digest));

export function requestOf({ digest }: Pick<LayerSample, "digest">): LayerRequest {
  return { ...NAME, layerDigest: digest, layerSize: undefined };
}

/** LazyLayers over a real cache, with a registry and mounts that are none. */
export interface LazySetup extends AsyncDisposable {
  readonly cache: LayerCache;
  readonly preparations: FakePreparations;
  readonly fake: FakeChainMounts;
  readonly sessions: ImageSessions;
  readonly stock: LayerStock;
  readonly lazy: LazyLayers;
  /** What happened: `served <digest>`, `refused <reason>`, `shown`, `followed`, `collected`. */
  readonly events: string[];
  readonly logged: string[];
  /** Leases of layers that are served now. */
  readonly leases: Set<Digest>;
  /** Trees that are kept now. */
  readonly trees: Set<string>;
  /** Brings a layer in again that is gone from the cache; a test may change it. */
  recover: (served: ServedLayer) => Promise<CachedLayer>;
  /** Puts a layer into the cache. */
  put(sample: LayerSample): Promise<void>;
  /** Awaited before a tree is open. */
  treeGate: Promise<void>;
}

export async function lazySetup(
  options: Partial<Pick<LazyLayersOptions, "timeoutMs" | "streamMs" | "restoreMs">> = {},
): Promise<LazySetup> {
  await using resources = new AsyncDisposableStack();
  const dir = resources.use(await tempDir());
  const cache = resources.use(await openStrictCache(dir.path));
  const preparations = new FakePreparations();
  preparations.chain = SAMPLES.map(({ digest }) => digest);
  preparations.layer = async (digest) => {
    const layer = await cache.openLayer(digest);
    if (layer === undefined) throw new SociError("not-found", "no such layer");
    return readyLayer(layer);
  };
  const [events, logged]: [string[], string[]] = [[], []];
  const [leases, trees] = [new Set<Digest>(), new Set<string>()];
  const log = createLogger({ sink: ({ message }) => logged.push(message) });
  const stock = resources.use(
    new LayerStock({
      cache,
      serve: async ({ digest }, layer): Promise<ServedLayerLease> => {
        leases.add(digest);
        const lease = {
          number: SAMPLES.findIndex((sample) => sample.digest === digest) + 1,
          layer,
          hasXattrs: false,
          hasAcls: false,
          [Symbol.asyncDispose]: async () => void leases.delete(digest),
        };
        return lease as unknown as ServedLayerLease;
      },
      recover: (served) => setup.recover(served),
      log,
    }),
  );
  const fake = new FakeChainMounts();
  resources.use(fake.mounts);
  const sessions = new ImageSessions({ ...preparations, log });
  const lazy = resources.use(
    new LazyLayers({
      sessions,
      stock,
      mounts: fake.mounts,
      openTree: async (layers) => {
        await setup.treeGate;
        const treeKey = chainKeyOf(layers);
        trees.add(treeKey);
        const treePath = writeTree(cache.root, layers);
        return { treePath, [Symbol.dispose]: () => void trees.delete(treeKey) };
      },
      onServed: (_session, _chain, { digest }) => void events.push(`followed ${digest}`),
      collect: async () => void events.push("collected"),
      events: {
        served: (digest) => void events.push(`served ${digest}`),
        refused: (_digest, reason) => void events.push(`refused ${reason}`),
        shown: () => void events.push("shown"),
      },
      timeoutMs: 60_000,
      log,
      ...options,
    }),
  );
  resources.use(sessions);
  const owned = resources.move();
  const setup: LazySetup = {
    cache,
    preparations,
    fake,
    sessions,
    stock,
    lazy,
    events,
    logged,
    leases,
    trees,
    recover: async () => {
      throw new SociError("unavailable", "registry is down");
    },
    put: async ({ digest, parts }) => {
      await using _layer = await cache.createLayer(digest, parts);
    },
    treeGate: Promise.resolve(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return setup;
}

/** The same, with both layers in the cache and held by committed snapshots 1 and 2. */
export async function stackedSetup(
  options: Partial<Pick<LazyLayersOptions, "timeoutMs" | "streamMs" | "restoreMs">> = {},
): Promise<LazySetup> {
  const setup = await lazySetup(options);
  for (const sample of SAMPLES) await setup.put(sample);
  for (const [index, served] of STACK.entries()) setup.lazy.holdLayer(String(index + 1), served);
  return setup;
}

/** Holds that nothing of a stack is left, and no layer is open. */
export async function expectNothingLeft(setup: LazySetup): Promise<void> {
  await setup.lazy.settled();
  expect(setup.fake.mounts.count).toBe(0);
  expect([...setup.trees]).toEqual([]);
  expect([...setup.leases]).toEqual([]);
  expect(setup.stock.keys.size).toBe(0);
}

/** Lets others work until it is so. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}
