/** Options of whatever can wait: an abort ends the wait by throwing `signal.reason`. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}
