const FREE = 10;
const THEN_EVERY_MS = 60_000;

/** Lets what is said again and again through a few times, and then once a minute. */
export class RepeatGate {
  readonly #now: () => number;
  readonly #said = new Map<string, { times: number; lastAt: number }>();

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now;
  }

  /** `what`: one of a few constant texts. */
  lets(what: string): boolean {
    const now = this.#now();
    const said = this.#said.get(what);
    if (said === undefined) {
      this.#said.set(what, { times: 1, lastAt: now });
      return true;
    }
    if (said.times >= FREE && now - said.lastAt < THEN_EVERY_MS) return false;
    said.times += 1;
    said.lastAt = now;
    return true;
  }
}
