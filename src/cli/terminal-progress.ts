import type { ErrorStream } from "./cli-io.ts";
import { formatProgressLine } from "./progress-line.ts";
import type { Progress, ProgressItem } from "./progress.ts";

/** At most ten pictures a second. */
const REDRAW_MS = 100;
/** The rate shown is an average over about this long: steady to look at, honest about a stall. */
const RATE_WINDOW_MS = 3000;

const CURSOR_UP_AND_ERASE = "\u001b[1A\u001b[2K";

export interface TerminalProgressOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Calls `tick` every `ms` until the returned function is called. */
  readonly every?: (ms: number, tick: () => void) => () => void;
}

interface Item {
  readonly name: string;
  bytes: number;
  totalBytes: number | undefined;
  /** Bytes a second; undefined until there is something to measure. */
  rate: number | undefined;
  readonly startedMs: number;
  measuredBytes: number;
  measuredMs: number;
}

/**
 * Draws a line an item below everything else on standard error, and takes it all away when disposed:
 * what remains on the terminal is the result. Where standard error is no terminal it draws nothing.
 * Whoever writes to the terminal meanwhile does it through writeAbove() or aboutToWrite().
 */
export class TerminalProgress implements Progress, Disposable {
  readonly #stream: ErrorStream;
  readonly #now: () => number;
  readonly #every: (ms: number, tick: () => void) => () => void;
  readonly #items = new Set<Item>();
  #ended = 0;
  #drawnLines = 0;
  #stopTimer: (() => void) | undefined;
  #disposed = false;
  /** Whether what others wrote last ended its line. */
  #atLineStart = true;

  constructor(
    stream: ErrorStream,
    { now = () => performance.now(), every = everyInterval }: TerminalProgressOptions = {},
  ) {
    this.#stream = stream;
    this.#now = now;
    this.#every = every;
  }

  item(
    name: string,
    {
      totalBytes,
      doneBytes = 0,
    }: { readonly totalBytes?: number | undefined; readonly doneBytes?: number } = {},
  ): ProgressItem {
    const nowMs = this.#now();
    const item: Item = {
      name,
      bytes: doneBytes,
      totalBytes,
      rate: undefined,
      startedMs: nowMs,
      measuredBytes: doneBytes,
      measuredMs: nowMs,
    };
    if (this.#stream.isTty && !this.#disposed) {
      this.#items.add(item);
      this.#stopTimer ??= this.#every(REDRAW_MS, () => this.#redraw());
    }
    return {
      add: (bytes) => {
        item.bytes += bytes;
      },
      setTotal: (bytes) => {
        item.totalBytes = bytes;
      },
      end: () => {
        if (!this.#items.delete(item)) return;
        this.#ended += 1;
        // Now: what comes next may reach the same terminal through a pipe, which is not seen here.
        if (this.#items.size === 0) this.#erase();
      },
    };
  }

  /** Writes text to the same stream, above the picture. */
  writeAbove(text: string): void {
    this.#erase();
    this.#stream.write(text);
    this.#noteLine(text.endsWith("\n"));
  }

  /** To be called before `chunk` goes to the same terminal by another stream. */
  aboutToWrite(chunk: string | Uint8Array): void {
    this.#erase();
    if (chunk.length === 0) return;
    this.#noteLine(typeof chunk === "string" ? chunk.endsWith("\n") : chunk.at(-1) === 0x0a);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#items.clear();
    this.#erase();
  }

  #noteLine(ended: boolean): void {
    this.#atLineStart = ended;
  }

  #erase(): void {
    if (this.#drawnLines === 0) return;
    this.#stream.write(CURSOR_UP_AND_ERASE.repeat(this.#drawnLines));
    this.#drawnLines = 0;
  }

  #redraw(): void {
    for (const item of this.#items) this.#measure(item);
    // A picture in the middle of somebody's line could not be taken away again.
    if (!this.#atLineStart) return;
    const lines = this.#lines();
    const erase = CURSOR_UP_AND_ERASE.repeat(this.#drawnLines);
    const text = erase + lines.map((line) => `${line}\n`).join("");
    if (text !== "") this.#stream.write(text);
    this.#drawnLines = lines.length;
  }

  #lines(): string[] {
    const items = [...this.#items];
    if (items.length === 0) return [];
    // One row stays free for the cursor, one for the line that counts what is not shown.
    const room = Math.max(1, this.#stream.rows - 2);
    const lines = items
      .slice(0, room)
      .map((item) => formatProgressLine(item, { columns: this.#stream.columns }));
    const hidden = items.length - lines.length;
    if (hidden > 0 || this.#ended > 0) {
      lines.push([`${this.#ended} done`, ...(hidden > 0 ? [`${hidden} more`] : [])].join(", "));
    }
    return lines;
  }

  #measure(item: Item): void {
    const nowMs = this.#now();
    const elapsedMs = nowMs - item.measuredMs;
    if (elapsedMs <= 0) return;
    const rate = ((item.bytes - item.measuredBytes) / elapsedMs) * 1000;
    const age = Math.min(nowMs - item.startedMs, RATE_WINDOW_MS);
    const weight = Math.min(1, elapsedMs / Math.max(age, 1));
    item.rate = item.rate === undefined ? rate : item.rate + (rate - item.rate) * weight;
    item.measuredBytes = item.bytes;
    item.measuredMs = nowMs;
  }
}

function everyInterval(ms: number, tick: () => void): () => void {
  const timer = setInterval(tick, ms);
  // Progress must not keep a finished command alive.
  timer.unref();
  return () => clearInterval(timer);
}
