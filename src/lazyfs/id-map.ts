/** A range of ids of a container, and where it begins on the host. */
export interface IdMap {
  readonly containerId: number;
  readonly hostId: number;
  readonly length: number;
}

/** How the owners that an image names are shown. */
export interface IdMappings {
  readonly uids: readonly IdMap[];
  readonly gids: readonly IdMap[];
}

/** Who owns what nobody of the container can own. linux/highuid.h: DEFAULT_OVERFLOWUID */
export const OVERFLOW_ID = 65_534;

/** What an image's id is on the host; OVERFLOW_ID where no range has it. */
export function hostIdOf(maps: readonly IdMap[], id: number): number {
  for (const { containerId, hostId, length } of maps) {
    if (id >= containerId && id - containerId < length) return hostId + id - containerId;
  }
  return OVERFLOW_ID;
}
