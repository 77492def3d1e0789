import { medianOf, minimumOf } from "./statistics.ts";

/** Seconds of parts of the runs of several sides: a sample has room for one of them only. */
export class TimedParts<Part extends string> {
  readonly #seconds = new Map<string, number[]>();

  note(label: string, part: Part, seconds: number): void {
    const key = keyOf(label, part);
    this.#seconds.set(key, [...(this.#seconds.get(key) ?? []), seconds]);
  }

  median(label: string, part: Part): number {
    return medianOf(this.#of(label, part));
  }

  least(label: string, part: Part): number {
    return minimumOf(this.#of(label, part));
  }

  #of(label: string, part: Part): readonly number[] {
    return this.#seconds.get(keyOf(label, part)) ?? [];
  }
}

function keyOf(label: string, part: string): string {
  return `${label}\0${part}`;
}
