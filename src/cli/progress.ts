/** One thing that takes time, as a layer being read. */
export interface ProgressItem {
  /** Counts further bytes; cheap enough for a hot path. */
  add(bytes: number): void;
  /** When the total becomes known late. */
  setTotal(totalBytes: number): void;
  /** Takes the item off the display. Doing it twice is fine. */
  end(): void;
}

/** Progress of the running command, on standard error. Nothing is shown where it is not a terminal. */
export interface Progress {
  /**
   * `name` may hold anything: it is made safe to display. `totalBytes` absent: unknown. `doneBytes`
   * were done before the item was made; they do not count for the rate.
   */
  item(
    name: string,
    options?: { readonly totalBytes?: number | undefined; readonly doneBytes?: number },
  ): ProgressItem;
}
