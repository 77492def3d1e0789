/** A number that is added to wherever something happens, and read when metrics are asked for. */
export class Tally {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  add(amount = 1): void {
    this.#value += amount;
  }
}

/** Tallies by two labels, made when they are first asked for. */
export class Tallies<First extends string> {
  readonly #tallies = new Map<First, Map<string, Tally>>();

  /** The same one for the same labels, until it is forgotten: whoever counts often keeps it. */
  of(first: First, second = ""): Tally {
    const row = this.#tallies.get(first) ?? new Map<string, Tally>();
    const known = row.get(second);
    if (known !== undefined) return known;
    const tally = new Tally();
    row.set(second, tally);
    this.#tallies.set(first, row);
    return tally;
  }

  *all(): Generator<{ readonly first: First; readonly second: string; readonly value: number }> {
    for (const [first, row] of this.#tallies) {
      for (const [second, { value }] of row) yield { first, second, value };
    }
  }

  /** Forgets every tally whose second label is this. */
  forget(second: string): void {
    for (const row of this.#tallies.values()) row.delete(second);
  }
}
