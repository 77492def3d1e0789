/** Bounds of what is requested and still to come. */
const LEAST_BYTES = 512 * 1024;
const MOST_BYTES = 24 << 20;
/** Before anything is known of the line. */
const FIRST_BYTES = 4 << 20;
/** A little more than the line holds, so that it never runs dry; no more while there is demand: the last request goes past the limit. */
const MARGIN = 1.25;
const DEMAND_MARGIN = 0.6;
/** Of what nobody will wait for soon: a demand then has most of the line for itself. */
const BACKGROUND_MARGIN = 0.25;
const DEMAND_MS = 1000;
/** A rate is measured over this long, while at least one answer comes in. */
const SAMPLE_MS = 25;
/** How long the best rate and the least latency of the past count. */
const MEMORY_MS = 5000;
/** Whether more requests at once bring more is tried in rounds of this length, when all were busy. */
const ROUND_MS = 300;
const GAIN = 1.1;
const STEP = 1.5;
const MOST_STEPS = 8;
const FIRST_REST = 4;
const LONGEST_REST = 64;

/**
 * How many bytes may be requested and still to come from one source. As many as the line holds, by
 * its rate and latency, are enough for it to be always busy, and few enough that the answer to a
 * demand does not queue: what was requested before it has arrived by then. Where one connection
 * cannot have all of the line, growth shows it.
 */
export class FetchBudget {
  #outstanding = 0;
  #demandAt = Number.NEGATIVE_INFINITY;
  readonly #rate = new RecentExtreme(Math.max);
  readonly #latency = new RecentExtreme(Math.min);
  /** Answers that come in. */
  #open = 0;
  #sampleStart = 0;
  #sampleBytes = 0;
  /** Rounds: bytes come in this one, and whether more would have been requested. */
  #roundStart = 0;
  #roundBytes = 0;
  #wasShort = false;
  #isShort = false;
  #isBackgroundShort = false;
  /** Steps up; the rate before the last one, and how many rounds until it is judged or the next tried. */
  #steps = 0;
  #rateBefore: number | undefined;
  #rest = FIRST_REST;
  #nextRest = FIRST_REST;

  /** Requested and still to come. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Bytes a millisecond that the line has been seen to carry; 0 when nothing is known. */
  get rate(): number {
    return this.#rate.value ?? 0;
  }

  /** Milliseconds from a request to its answer when nothing else is under way; 0 when nothing is known. */
  get latencyMs(): number {
    return this.#latency.value ?? 0;
  }

  /** Outstanding bytes at which no more should be requested. */
  limit(now: number, isBackground = false): number {
    if (this.rate === 0) return FIRST_BYTES;
    const besideDemand = isBackground ? BACKGROUND_MARGIN : DEMAND_MARGIN;
    const margin = now - this.#demandAt < DEMAND_MS ? besideDemand : MARGIN;
    const least = Math.max(this.rate * this.latencyMs * margin, LEAST_BYTES);
    return Math.min(least * STEP ** this.#steps, MOST_BYTES);
  }

  /** Whether work that can wait may be requested now. */
  hasRoom(now: number, isBackground = false): boolean {
    const hasRoom = this.#outstanding < this.limit(now, isBackground);
    this.#isShort = !hasRoom;
    this.#isBackgroundShort = isBackground;
    this.#wasShort ||= !hasRoom;
    return hasRoom;
  }

  /** Whether there is room now, and was none when hasRoom() was asked last. */
  hasRoomAgain(now: number): boolean {
    return this.#isShort && this.#outstanding < this.limit(now, this.#isBackgroundShort);
  }

  /** Something is requested that somebody waits for. */
  demanded(now: number): void {
    this.#demandAt = now;
  }

  requested(bytes: number): void {
    this.#outstanding += bytes;
  }

  /** These will not come. */
  cancelled(bytes: number): void {
    this.#outstanding -= bytes;
  }

  /** So long after its request an answer began. */
  answered(ms: number, now: number): void {
    this.#latency.add(ms, now);
  }

  /** The first bytes of an answer are here; they only say when the rest began to come. */
  began(now: number): void {
    if (this.#open === 0) this.#startSample(now);
    this.#open += 1;
  }

  /** Nothing more of that answer comes. */
  ended(): void {
    this.#open -= 1;
  }

  received(bytes: number, now: number): void {
    this.#outstanding -= bytes;
    this.#measure(bytes, now);
    this.#roundBytes += bytes;
    if (now - this.#roundStart >= ROUND_MS) this.#endRound(now);
  }

  #measure(bytes: number, now: number): void {
    const ms = now - this.#sampleStart;
    if (ms === 0) return;
    this.#sampleBytes += bytes;
    if (ms < SAMPLE_MS) return;
    this.#rate.add(this.#sampleBytes / ms, now);
    this.#startSample(now);
  }

  #startSample(now: number): void {
    this.#sampleStart = now;
    this.#sampleBytes = 0;
  }

  /** More at once as long as it brings more, else back; after a while it is tried again. */
  #endRound(now: number): void {
    const ms = now - this.#roundStart;
    const rate = this.#roundBytes / ms;
    const wasBusy = this.#wasShort && ms < 2 * ROUND_MS;
    this.#roundStart = now;
    this.#roundBytes = 0;
    this.#wasShort = false;
    if (!wasBusy) return;
    if (this.#rest > 0) {
      this.#rest -= 1;
      return;
    }
    const before = this.#rateBefore;
    if (before !== undefined && rate < before * GAIN) {
      this.#steps -= 1;
      this.#rateBefore = undefined;
      this.#rest = this.#nextRest;
      this.#nextRest = Math.min(this.#nextRest * 2, LONGEST_REST);
    } else if (this.#steps < MOST_STEPS) {
      this.#steps += 1;
      this.#rateBefore = rate;
      // What the step brings shows in the round after the next.
      this.#rest = 1;
    }
  }
}

/** The largest, or smallest, of the values of the last seconds: of two halves, the older falls away. */
class RecentExtreme {
  readonly #better: (a: number, b: number) => number;
  #older: number | undefined;
  #newer: number | undefined;
  #newerSince = Number.NEGATIVE_INFINITY;

  constructor(better: (a: number, b: number) => number) {
    this.#better = better;
  }

  get value(): number | undefined {
    if (this.#newer === undefined || this.#older === undefined) return this.#newer ?? this.#older;
    return this.#better(this.#newer, this.#older);
  }

  add(value: number, now: number): void {
    if (now - this.#newerSince >= MEMORY_MS) {
      this.#older = this.#newer;
      this.#newer = undefined;
      this.#newerSince = now;
    }
    this.#newer = this.#newer === undefined ? value : this.#better(this.#newer, value);
  }
}
