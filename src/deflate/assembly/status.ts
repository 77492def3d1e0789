// What run() returns. The host's list (wasm-engine.ts) is in the same order.
export const NEED_INPUT: i32 = 0;
export const OUTPUT_FULL: i32 = 1;
export const BOUNDARY: i32 = 2;
export const END: i32 = 3;
export const BAD_BLOCK_TYPE: i32 = 4;
export const BAD_STORED_LENGTH: i32 = 5;
export const BAD_SYMBOL_COUNT: i32 = 6;
export const BAD_PRECODE: i32 = 7;
export const BAD_REPEAT: i32 = 8;
export const NO_END_OF_BLOCK: i32 = 9;
export const BAD_LITLEN_CODE: i32 = 10;
export const BAD_DISTANCE_CODE: i32 = 11;
export const BAD_SYMBOL: i32 = 12;
export const DISTANCE_TOO_FAR: i32 = 13;
