import type { UsageAccount } from "./usage-account.ts";

/** Room on disk that was promised. Disposing gives it back, unless it was kept. */
export class SpaceReservation implements Disposable {
  readonly #account: UsageAccount;
  readonly #pages: number;
  #isOpen = true;

  constructor(account: UsageAccount, pages: number) {
    this.#account = account;
    this.#pages = pages;
  }

  /** What it was for is on disk: from now on it is counted there. */
  keep(): void {
    if (this.#isOpen) this.#account.keep(this.#pages);
    this.#isOpen = false;
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) this.#account.giveBack(this.#pages);
    this.#isOpen = false;
  }
}
