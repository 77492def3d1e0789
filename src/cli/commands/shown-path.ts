import { type ByteName, bytesOfName } from "../../tree/byte-name.ts";
import { safeBytes } from "../safe-text.ts";

/** A path from the root, `/usr/lib`, fit for display. */
export function shownPath(path: readonly ByteName[]): string {
  return `/${path.map((name) => safeBytes(bytesOfName(name))).join("/")}`;
}
