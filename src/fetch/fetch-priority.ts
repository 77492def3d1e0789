/**
 * Why bytes are wanted, most urgent first: somebody waits for them; a list says that they will be
 * read soon; a reader is on its way there; all of the layer shall be local.
 */
export const FETCH_PRIORITIES = ["demand", "prefetch", "readahead", "background"] as const;

export type FetchPriority = (typeof FETCH_PRIORITIES)[number];

/** A priority as a number: 0 is the most urgent. */
export type Urgency = number;

export const DEMAND: Urgency = 0;
export const READAHEAD: Urgency = 2;
export const BACKGROUND: Urgency = FETCH_PRIORITIES.length - 1;
/** Of what nobody wants any more. */
export const UNWANTED: Urgency = FETCH_PRIORITIES.length;

export function urgencyOf(priority: FetchPriority): Urgency {
  return FETCH_PRIORITIES.indexOf(priority);
}

export function priorityOf(urgency: Urgency): FetchPriority {
  return FETCH_PRIORITIES[urgency] ?? "background";
}
