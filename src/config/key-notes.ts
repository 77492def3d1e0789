import type { KeyMark, KeyTable } from "./config-key.ts";
import { CONFIG_KEYS } from "./config-keys.ts";

/** What one key of the configuration does here. */
export interface KeyNote {
  /** From the top of the file on, `*` for a name of the user's. */
  readonly path: readonly string[];
  readonly mark: KeyMark;
  readonly why: string;
}

/** Notes on all keys, in the order of `config default`. */
export function keyNotes(): readonly KeyNote[] {
  return Array.from(notesOf(CONFIG_KEYS, []));
}

function* notesOf(keys: KeyTable, at: readonly string[]): Generator<KeyNote> {
  for (const [name, key] of Object.entries(keys)) {
    const path = [...at, name];
    if (key.kind !== "table") yield { path, mark: key.mark, why: key.why };
    if (key.kind === "table" || key.kind === "table-list") yield* notesOf(key.keys, path);
    if (key.kind === "named-tables") yield* notesOf(key.keys, [...path, "*"]);
  }
}
