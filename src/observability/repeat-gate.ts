const FREE = 10;
const THEN_EVERY_MS = 60_000;
/** The one said longest ago is forgotten first. */
const MAX_TEXTS = 1024;

/** Lets what is said again and again through a few times, and then once a minute. */
export class RepeatGate {
  readonly #now: () => number;
  readonly #said = new Map<string, { readonly times: number; readonly lastAt: number }>();

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now;
  }

  /** `what`: a text, or what it is about, as a layer's digest. */
  lets(what: string): boolean {
    const now = this.#now();
    const { times, lastAt } = this.#said.get(what) ?? { times: 0, lastAt: now };
    if (times >= FREE && now - lastAt < THEN_EVERY_MS) return false;
    this.#said.delete(what);
    this.#said.set(what, { times: times + 1, lastAt: now });
    const [oldest] = this.#said.keys();
    if (oldest !== undefined && this.#said.size > MAX_TEXTS) this.#said.delete(oldest);
    return true;
  }
}
