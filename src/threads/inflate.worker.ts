import { LayerFiles, type LayerHandle } from "../cache/layer-files.ts";
import { InflateLoop } from "./inflate-loop.ts";
import { type InflateAnswer, type InflateRequest, SENT_WORD } from "./inflate-messages.ts";
import { warmInflate } from "./warm-inflate.ts";

declare const self: {
  onmessage: ((event: MessageEvent<InflateRequest>) => void) | null;
  postMessage(message: InflateAnswer, transfer?: readonly ArrayBuffer[]): void;
};

const handles = new Map<number, LayerHandle>();
/** Those of which something has been filled here. */
const layers = new Map<number, LayerFiles>();
const chunks = new Map<number, Uint8Array>();
let words: Int32Array = new Int32Array(0);
let loop: InflateLoop | undefined;
/** Messages heard, and whether a turn of the event loop is on its way that works on. */
let heard = 0;
let isScheduled = false;

function start(memory: SharedArrayBuffer): void {
  words = new Int32Array(memory);
  loop = new InflateLoop({
    words,
    layerOf,
    chunkOf: (chunk) => found(chunks.get(chunk), `chunk ${chunk}`),
    answer: (answer, transfer = []) => self.postMessage(answer, transfer),
  });
}

/** Opened when first needed: a failure is then that fill's. */
function layerOf(layer: number): LayerFiles {
  let files = layers.get(layer);
  if (files === undefined) {
    files = LayerFiles.open(found(handles.get(layer), `layer ${layer}`));
    layers.set(layer, files);
  }
  return files;
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is not known here`);
  return value;
}

/** Works until nothing is left, or until there is a message to hear first. */
function work(): void {
  isScheduled = false;
  while (loop?.step() === true) {
    if (Atomics.load(words, SENT_WORD) !== heard) {
      schedule();
      return;
    }
  }
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(work);
}

function handle(request: InflateRequest): void {
  switch (request.kind) {
    case "start":
      start(request.words);
      return;
    case "warm":
      loop?.withEngine(warmInflate);
      return;
    case "open":
      handles.set(request.layer, request.handle);
      return;
    case "close":
      layers.get(request.layer)?.[Symbol.dispose]();
      layers.delete(request.layer);
      handles.delete(request.layer);
      return;
    case "end":
      for (const files of layers.values()) files[Symbol.dispose]();
      layers.clear();
      self.postMessage({ kind: "ended" });
      return;
    case "drop":
      for (const chunk of request.chunks) chunks.delete(chunk);
      // An idle thread collects nothing by itself, and would hold on to the memory.
      Bun.gc(false);
      return;
    case "fill":
    case "append":
      for (const [id, memory] of request.newChunks) chunks.set(id, new Uint8Array(memory));
      if (request.kind === "fill") loop?.add(request);
      else loop?.append(request);
      schedule();
      return;
    case "abort":
      loop?.abort(request.slot);
      schedule();
      return;
    case "want":
      loop?.want(request.slot, request.urgency, request.wantEnd);
  }
}

self.onmessage = ({ data }) => {
  heard += 1;
  handle(data);
};
