import { SociError } from "../errors.ts";
import { INFLATE_WASM } from "./generated/inflate-wasm.ts";
import type { InflateEngine, InflateStart, InflateStop } from "./inflate-engine.ts";
import { WINDOW_BYTES } from "./inflate-engine.ts";

// The same numbers as assembly/layout.ts; a test compares them.
const INPUT = 0x10000;
const INPUT_BYTES = 0x40000;
const INPUT_PADDING = 1024;
const OUTPUT = 0x51000;
const OUTPUT_BYTES = 0x20000;
const OUTPUT_START = OUTPUT + WINDOW_BYTES;
const OUTPUT_END = OUTPUT_START + OUTPUT_BYTES;
const NEVER = 0x7fffffff;

/** In the order of the constants in assembly/status.ts. */
const STOPS: readonly InflateStop[] = ["input", "output", "boundary", "end"];
const FAULTS: readonly string[] = [
  "block type is 3, want 0 to 2",
  "stored block's length and its complement differ",
  "too many length or distance codes in a block header",
  "code length code is not a complete prefix code",
  "code length repeat has nothing to repeat or passes the end",
  "block has no end-of-block code",
  "literal/length code is not a complete prefix code",
  "distance code is not a complete prefix code",
  "bits are no literal, length or distance code",
  "distance reaches before the start of the data",
];

interface InflateCore {
  readonly memory: WebAssembly.Memory;
  initialise(): void;
  begin(bits: number, value: number): void;
  run(
    inFrom: number,
    inEnd: number,
    lastInput: number,
    outFrom: number,
    outEnd: number,
    stopPast: number,
    history: number,
  ): number;
  inputPointer(): number;
  outputPointer(): number;
  heldBits(): number;
}

let module: WebAssembly.Module | undefined;

function instantiate(): InflateCore {
  module ??= new WebAssembly.Module(Buffer.from(INFLATE_WASM, "base64"));
  const instance = new WebAssembly.Instance(module, {});
  const core = instance.exports as unknown as InflateCore; // the module is ours, built with this file
  core.initialise();
  return core;
}

/** The fast engine: our own core in WebAssembly (assembly/). About 1 MiB each; reuse it. */
export class WasmEngine implements InflateEngine {
  readonly name = "wasm";
  readonly #core = instantiate();
  readonly #memory = new Uint8Array(this.#core.memory.buffer);
  /** Unread input is [inFrom, inEnd) of the memory. */
  #inFrom = INPUT;
  #inEnd = INPUT;
  #lastInput = false;
  #outFrom = OUTPUT_START;
  /** Lowest address a match may reach. */
  #history = OUTPUT_START;
  /** Bytes used before address INPUT, and made before address OUTPUT_START; may be negative. */
  #inBase = 0;
  #outBase = 0;
  #output = this.#memory.subarray(OUTPUT_START, OUTPUT_START);
  #bits = 0;

  get totalIn(): number {
    return this.#inBase + this.#inFrom - INPUT;
  }

  get totalOut(): number {
    return this.#outBase + this.#outFrom - OUTPUT_START;
  }

  get bits(): number {
    return this.#bits;
  }

  get output(): Uint8Array {
    return this.#output;
  }

  start({ window = "none", bits = 0, partialByte = 0 }: InflateStart = {}): void {
    if (window === "next-member") {
      this.#history = this.#outFrom;
    } else {
      this.#outFrom = OUTPUT_START;
      this.#memory.fill(0, OUTPUT, OUTPUT_START);
      const kept = window === "none" ? window : window.subarray(-WINDOW_BYTES);
      this.#history = OUTPUT_START - (kept === "none" ? 0 : kept.length);
      if (kept !== "none") this.#memory.set(kept, this.#history);
    }
    this.#inFrom = INPUT;
    this.#inEnd = INPUT;
    this.#lastInput = false;
    this.#inBase = 0;
    this.#outBase = OUTPUT_START - this.#outFrom;
    this.#bits = 0;
    this.#output = this.#memory.subarray(this.#outFrom, this.#outFrom);
    this.#core.begin(bits, bits === 0 ? 0 : partialByte >> (8 - bits));
  }

  feed(input: Uint8Array): number {
    if (this.#inFrom > INPUT) {
      this.#memory.copyWithin(INPUT, this.#inFrom, this.#inEnd);
      this.#inBase += this.#inFrom - INPUT;
      this.#inEnd -= this.#inFrom - INPUT;
      this.#inFrom = INPUT;
    }
    const taken = Math.min(input.length, INPUT + INPUT_BYTES - this.#inEnd);
    this.#memory.set(taken === input.length ? input : input.subarray(0, taken), this.#inEnd);
    this.#inEnd += taken;
    return taken;
  }

  endInput(): void {
    this.#lastInput = true;
    this.#memory.fill(0, this.#inEnd, this.#inEnd + INPUT_PADDING);
  }

  run(stopAfter = Number.POSITIVE_INFINITY): InflateStop {
    if (this.#outFrom >= OUTPUT_END) this.#slide();
    const from = this.#outFrom;
    const stopPast = Math.max(0, Math.min(NEVER, OUTPUT_START + stopAfter - this.#outBase));
    const status = this.#core.run(
      this.#inFrom,
      this.#lastInput ? this.#inEnd + INPUT_PADDING : this.#inEnd,
      this.#lastInput ? 1 : 0,
      from,
      OUTPUT_END,
      stopPast,
      this.#history,
    );
    const inFrom = this.#core.inputPointer();
    const stop = STOPS[status];
    if (this.#lastInput && (inFrom > this.#inEnd || stop === "input")) {
      throw new SociError(
        "data-loss",
        `Cannot inflate: the data ends at byte ${this.#inBase + this.#inEnd - INPUT} in the middle of a block`,
      );
    }
    this.#inFrom = inFrom;
    this.#outFrom = this.#core.outputPointer();
    this.#bits = this.#core.heldBits();
    this.#output = this.#memory.subarray(from, this.#outFrom);
    if (stop === undefined) {
      throw new SociError(
        "data-loss",
        `Cannot inflate: ${FAULTS[status - STOPS.length]} near compressed byte ${this.totalIn} (uncompressed byte ${this.totalOut})`,
      );
    }
    return stop;
  }

  copyWindow(target: Uint8Array): void {
    target.set(this.#memory.subarray(this.#outFrom - WINDOW_BYTES, this.#outFrom));
  }

  takeRest(): Uint8Array {
    const rest = this.#memory.slice(this.#inFrom, this.#inEnd);
    this.#inEnd = this.#inFrom;
    return rest;
  }

  /** Moves the last 32 KiB of output to the front, which makes room for more. */
  #slide(): void {
    const by = this.#outFrom - OUTPUT_START;
    this.#memory.copyWithin(OUTPUT, this.#outFrom - WINDOW_BYTES, this.#outFrom);
    this.#history = Math.max(OUTPUT, this.#history - by);
    this.#outFrom = OUTPUT_START;
    this.#outBase += by;
  }
}
