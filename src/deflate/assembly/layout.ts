// Where everything lies in the module's one fixed memory. Kept apart from the code so that the
// host side can be checked against it; no runtime, no heap: addresses are constants.

export const WINDOW: u32 = 32768;

/** Code lengths of the block being read: 286 + 30, and room for a repeat that overshoots. */
export const LENGTHS: usize = 0x1000;
/** Symbols sorted by code length, then value: u16. */
export const SORTED: usize = 0x1400;
/** Number of codes of each length 0 to 15: u32; then where each length starts in SORTED. */
export const COUNTS: usize = 0x1800;
export const STARTS: usize = 0x1880;
/** What a litlen symbol means, without its code length: u32 x 288. */
export const LITLEN_MEANING: usize = 0x1a00;
/** What a distance symbol means: u64 x 32. */
export const DISTANCE_MEANING: usize = 0x2000;
/** Shuffle masks that repeat the first 1 to 15 bytes over a vector: 16 x 16 bytes. */
export const REPEAT_MASKS: usize = 0x2200;
/** Bytes a vector of each repeat advances: the multiple of the distance that fits 16. u8 x 16. */
export const REPEAT_STEPS: usize = 0x2300;
/** Code length code: 7 bits, u32. */
export const PRECODE_TABLE: usize = 0x2400;
/** 11 bits with subtables: at most 2342 entries of u32. */
export const LITLEN_TABLE: usize = 0x3000;
/** 8 bits with subtables: at most 402 entries of u64. */
export const DISTANCE_TABLE: usize = 0x6000;

export const INPUT: usize = 0x10000;
export const INPUT_BYTES: u32 = 0x40000;
/** Zeros behind the end of the input, so that the fast loop needs no slow twin. */
export const INPUT_PADDING: u32 = 1024;

/** The window, then room for output, then slack that copies may overrun. */
export const OUTPUT: usize = 0x51000;
export const OUTPUT_BYTES: u32 = 0x20000;
export const OUTPUT_SLACK: u32 = 512;
// End: 0x51000 + 0x8000 + 0x20000 + 0x200 < 0x80000, eight pages of 64 KiB.
