/** What a client does with a mounted bench tree. */
export const FUSE_WORKS = ["sequential", "random", "stat"] as const;

export type FuseWork = (typeof FUSE_WORKS)[number];

export const RANDOM_READS = 50_000;
