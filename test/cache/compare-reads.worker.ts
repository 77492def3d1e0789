// A thread that reads a layer at random places and compares every byte with the tar, until it is told to stop.
import { readFileSync } from "node:fs";
import { LayerFiles, type LayerHandle } from "../../src/cache/layer-files.ts";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { chanceOf } from "./shared-layer.ts";

export interface CompareStart {
  readonly handle: LayerHandle;
  readonly tarPath: string;
  readonly seed: number;
}

export interface CompareResult {
  readonly hits: number;
  readonly misses: number;
  readonly faults: readonly string[];
}

declare const self: {
  onmessage: ((event: MessageEvent<CompareStart | "stop">) => void) | null;
  postMessage(message: CompareResult | "opened"): void;
};

let hits = 0;
let misses = 0;
const faults: string[] = [];
let isStopped = false;

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function readSome(reader: LayerReader, tar: Uint8Array, chance: (limit: number) => number): void {
  const bytes = new Uint8Array(200_000);
  for (let i = 0; i < 200; i++) {
    const start = chance(tar.length - 1);
    const end = Math.min(tar.length, start + 1 + chance(120_000));
    const at = chance(60_000);
    const count = reader.read(start, end, bytes, at);
    if (count === MISS) misses++;
    else if (count < 0) faults.push(`damaged: ${JSON.stringify(reader.damaged)}`);
    else if (isEqual(bytes.subarray(at, at + count), tar.subarray(start, end))) hits++;
    else faults.push(`wrong bytes from ${start} to ${end}`);
  }
}

self.onmessage = ({ data }) => {
  if (data === "stop") {
    isStopped = true;
    return;
  }
  const { handle, tarPath, seed } = data;
  const files = LayerFiles.open(handle);
  const tar = readFileSync(tarPath);
  const reader = new LayerReader(files);
  const chance = chanceOf(seed);
  self.postMessage("opened");
  const turn = (): void => {
    readSome(reader, tar, chance);
    if (!isStopped) {
      setImmediate(turn);
      return;
    }
    files[Symbol.dispose]();
    self.postMessage({ hits, misses, faults });
  };
  turn();
};
