// A thread that reads a span whose every filling has another byte all over, until it is told to stop.
import { LayerFiles, type LayerHandle } from "../../src/cache/layer-files.ts";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import type { CompareResult } from "./compare-reads.worker.ts";

declare const self: {
  onmessage: ((event: MessageEvent<LayerHandle | "stop">) => void) | null;
  postMessage(message: CompareResult | "opened"): void;
};

let hits = 0;
let misses = 0;
const faults: string[] = [];
let isStopped = false;

function readSome(reader: LayerReader, bytes: Uint8Array): void {
  for (let i = 0; i < 100; i++) {
    const count = reader.read(0, bytes.length, bytes, 0);
    if (count === MISS) misses++;
    else if (count < 0) faults.push(`damaged: ${JSON.stringify(reader.damaged)}`);
    else if (bytes[0] !== 0 && bytes.every((byte) => byte === bytes[0])) hits++;
    else faults.push("bytes of several fillings, or of a hole");
  }
}

self.onmessage = ({ data }) => {
  if (data === "stop") {
    isStopped = true;
    return;
  }
  const files = LayerFiles.open(data);
  const reader = new LayerReader(files);
  const bytes = new Uint8Array(files.geometry.dataSize);
  self.postMessage("opened");
  const turn = (): void => {
    readSome(reader, bytes);
    if (isStopped) self.postMessage({ hits, misses, faults });
    else setImmediate(turn);
  };
  turn();
};
