/** The right to fill spans [span, endSpan), against every other thread and process. Disposing gives it up. */
export interface SpanClaim extends Disposable {
  readonly span: number;
  readonly endSpan: number;
  /** All bytes and CRCs are written: the spans can be read from now on. Gives the claim up. */
  markPresent(): void;
}
