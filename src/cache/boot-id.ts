import { readFileSync } from "node:fs";

/** Four words that are other words after the next boot. */
export type BootId = readonly [number, number, number, number];

/** What stands where no boot is meant. */
export const NO_BOOT: BootId = [0, 0, 0, 0];

/** This boot of the machine, as hex digits. */
export function bootIdText(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim().replaceAll("-", "");
}

export function bootId(): BootId {
  const text = bootIdText();
  const word = (i: number): number => Number.parseInt(text.slice(8 * i, 8 * i + 8), 16);
  return [word(0), word(1), word(2), word(3)];
}
