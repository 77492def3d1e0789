import { DISTANCE_MEANING, LITLEN_MEANING, REPEAT_MASKS, REPEAT_STEPS } from "./layout";
import { END_OF_BLOCK, EXCEPTIONAL, EXCEPTIONAL_DISTANCE } from "./huffman";

/** Once a module: what symbols mean (RFC 1951, 3.2.5), and the patterns of short distances. */
export function initialise(): void {
  for (let s: u32 = 0; s < 256; s++) store<u32>(LITLEN_MEANING + (s << 2), (s << 8) | (1 << 6));
  store<u32>(LITLEN_MEANING + (256 << 2), EXCEPTIONAL | END_OF_BLOCK);
  let base: u32 = 3;
  for (let i: u32 = 0; i < 28; i++) {
    const extra: u32 = i < 8 ? 0 : (i >> 2) - 1;
    store<u32>(LITLEN_MEANING + ((257 + i) << 2), (base << 16) | (((1 << extra) - 1) << 25) | extra);
    base += 1 << extra;
  }
  store<u32>(LITLEN_MEANING + (285 << 2), 258 << 16);
  store<u32>(LITLEN_MEANING + (286 << 2), EXCEPTIONAL);
  store<u32>(LITLEN_MEANING + (287 << 2), EXCEPTIONAL);
  base = 1;
  for (let i: u32 = 0; i < 30; i++) {
    const extra: u32 = i < 4 ? 0 : (i >> 1) - 1;
    const mask: u64 = (<u64>1 << extra) - 1;
    store<u64>(DISTANCE_MEANING + (i << 3), (mask << 32) | (<u64>base << 16) | <u64>extra);
    base += 1 << extra;
  }
  store<u64>(DISTANCE_MEANING + (30 << 3), EXCEPTIONAL_DISTANCE);
  store<u64>(DISTANCE_MEANING + (31 << 3), EXCEPTIONAL_DISTANCE);
  for (let d: u32 = 1; d < 16; d++) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(REPEAT_MASKS + (d << 4) + i, <u8>(i % d));
    store<u8>(REPEAT_STEPS + d, <u8>(16 - (16 % d)));
  }
}
