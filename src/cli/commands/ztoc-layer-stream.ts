import { setImmediate as nextTurn } from "node:timers/promises";
import type { Digester } from "../../oci/digest.ts";
import type { Progress, ProgressItem } from "../progress.ts";
import type { LayerInput } from "./ztoc-layer-input.ts";

/** How long the event loop may stand still: signals and progress wait for it. */
const TURN_MS = 50;
/** What is done sooner needs no progress. */
const PROGRESS_AFTER_MS = 1000;

/** The first bytes, at least `count` where there are as many, and all chunks with them. */
export async function peek(
  source: AsyncIterable<Uint8Array>,
  count: number,
): Promise<{ readonly head: Uint8Array; readonly chunks: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < count) {
    const next = await iterator.next();
    if (next.done === true) break;
    // A first chunk that is long enough stays where it is: it is read before the next one comes.
    head = head.length === 0 && next.value.length >= count ? next.value : join(head, next.value);
  }
  return { head, chunks: { [Symbol.asyncIterator]: () => continued(head, iterator) } };
}

async function* continued(
  head: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    yield next.value;
  }
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** Passes chunks on, and lets the event loop turn now and then: the work on them never waits. */
export async function* watch(
  chunks: AsyncIterable<Uint8Array>,
  {
    layer,
    progress,
    digester,
  }: {
    readonly layer: LayerInput;
    readonly progress: Progress;
    readonly digester: Digester | undefined;
  },
): AsyncGenerator<Uint8Array> {
  const startedMs = performance.now();
  let turnMs = startedMs;
  let bytes = 0;
  let item: ProgressItem | undefined;
  try {
    for await (const chunk of chunks) {
      digester?.update(chunk);
      yield chunk;
      bytes += chunk.length;
      item?.add(chunk.length);
      const nowMs = performance.now();
      if (nowMs - turnMs < TURN_MS) continue;
      if (item === undefined && nowMs - startedMs > PROGRESS_AFTER_MS) {
        item = progress.item(layer.name, { totalBytes: layer.size, doneBytes: bytes });
      }
      await nextTurn();
      turnMs = performance.now();
    }
  } finally {
    item?.end();
  }
}
