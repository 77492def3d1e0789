/** What one run of one side took. */
export interface Sample {
  readonly wallSeconds: number;
  /** User and system time of the process and its children. */
  readonly cpuSeconds: number;
  /** Most memory resident at once, of the largest process; `undefined` where nobody measured it. */
  readonly maxRssBytes?: number;
}
