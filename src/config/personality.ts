/** What the process is, by the name it was started under; some defaults follow from it. */
export const PERSONALITIES = ["sociable", "soci-snapshotter-grpc"] as const;

export type Personality = (typeof PERSONALITIES)[number];
