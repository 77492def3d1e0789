/**
 * The error that came first. When closing a resource fails on the way out of a failure, `using`
 * throws a SuppressedError, which hides what had gone wrong behind what came of it.
 */
export function primaryErrorOf(error: unknown): unknown {
  let primary = error;
  while (primary instanceof SuppressedError) primary = primary.suppressed;
  return primary;
}
