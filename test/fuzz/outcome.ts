import { type ErrorKind, isKind } from "../../src/errors.ts";

/** What a decoder made of its input. */
export type Outcome<T> = { readonly value: T } | { readonly refused: ErrorKind };

/** Runs a decoder that may refuse its input, with one of `kinds`; any other exception is a failure. */
export function outcomeOf<T>(
  decode: () => T,
  kinds: readonly ErrorKind[] = ["data-loss"],
): Outcome<T> {
  try {
    return { value: decode() };
  } catch (error) {
    if (!isKind(error, ...kinds)) throw error;
    return { refused: error.kind };
  }
}

/** What the decoder gave, undefined when it refused. */
export function acceptedBy<T>(outcome: Outcome<T>): T | undefined {
  return "value" in outcome ? outcome.value : undefined;
}
