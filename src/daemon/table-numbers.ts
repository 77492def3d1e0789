import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemFailure } from "../cache/system-failure.ts";
import { isKind, SociError } from "../errors.ts";
import { MAX_TABLES } from "../lazyfs/node-id.ts";
import type { Logger } from "../observability/log.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";

export interface TableNumbersOptions {
  /** The state root. */
  readonly root: string;
  /** No mount lives that was made with numbers from here: all are free again. Default false. */
  readonly isFresh?: boolean;
  readonly log: Logger;
}

/** Raised when a later version could not use what an earlier one wrote. */
const VERSION = 1;
/** Numbers remembered; the oldest that nobody holds is forgotten, and never given again. */
const MAX_REMEMBERED = 2048;
const KEY_DIGITS = 32;
const KEY = new RegExp(`^[0-9a-f]{${KEY_DIGITS}}$`);
/** Where numbers go on when it is not known which were given. */
const AFTER_LOSS = MAX_TABLES / 2;

/**
 * Numbers of the tables that the mounts of one state root show, which are the upper halves of node ids:
 * the same content has the same number as long as it is remembered, and no number is given to other
 * content while a mount lives. Written down before it is used.
 */
export class TableNumbers {
  readonly #path: string;
  readonly #numbers: Map<string, number>;
  /** How many hold each. */
  readonly #held = new Map<number, number>();
  #next: number;

  private constructor(path: string, numbers: Map<string, number>, next: number) {
    this.#path = path;
    this.#numbers = numbers;
    this.#next = next;
  }

  /** @throws unsupported when a later version has written them */
  static open({ root, isFresh = false, log }: TableNumbersOptions): TableNumbers {
    const path = join(root, "mounts", "table-numbers.json");
    if (isFresh) return new TableNumbers(path, new Map(), 1);
    try {
      return new TableNumbers(path, ...decode(readFileSync(path), `table numbers "${path}"`));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return new TableNumbers(path, new Map(), 1);
      if (!isKind(error, "data-loss")) throw error;
      // It is not synced: a power cut may have damaged it, and ended all mounts too.
      log.warn("table numbers are damaged and go on elsewhere", { path, error });
      return new TableNumbers(path, new Map(), AFTER_LOSS);
    }
  }

  /** The next number for content that is not known yet. */
  get next(): number {
    return this.#next;
  }

  /**
   * Of the content that `key` stands for. It is remembered at least until release(), so that whoever
   * takes a mount over finds it. @throws unsupported when there are no more; failed-precondition */
  numberOf(key: string): number {
    const short = createHash("sha256").update(key).digest("hex").slice(0, KEY_DIGITS);
    const known = this.#numbers.get(short);
    if (known !== undefined) return this.#hold(known);
    const number = this.#next;
    if (number >= MAX_TABLES) {
      throw new SociError("unsupported", `Cannot show more than ${MAX_TABLES} tables`, {
        hint: "A restart while no container runs begins anew",
      });
    }
    this.#numbers.set(short, number);
    this.#next += 1;
    for (const [oldest, old] of this.#numbers) {
      if (this.#numbers.size <= MAX_REMEMBERED) break;
      if (old !== number && !this.#held.has(old)) this.#numbers.delete(oldest);
    }
    try {
      this.#write();
    } catch (error) {
      this.#numbers.delete(short);
      throw systemFailure(`write table numbers "${this.#path}"`, error);
    }
    return this.#hold(number);
  }

  /** Once for each numberOf(), when the content is shown no more. */
  release(number: number): void {
    const holders = this.#held.get(number) ?? 0;
    if (holders > 1) this.#held.set(number, holders - 1);
    else this.#held.delete(number);
  }

  /** A living mount uses this one, whatever has been written down. */
  reserve(number: number): void {
    this.#next = Math.max(this.#next, number + 1);
  }

  #hold(number: number): number {
    this.#held.set(number, (this.#held.get(number) ?? 0) + 1);
    return number;
  }

  #write(): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const unfinished = `${this.#path}.${process.pid}`;
    writeFileSync(unfinished, encode(this.#numbers, this.#next), { mode: 0o600 });
    renameSync(unfinished, this.#path);
  }
}

function encode(numbers: ReadonlyMap<string, number>, next: number): string {
  const list = Array.from(numbers, ([key, number]) => `${key} ${number}`);
  return `${JSON.stringify({ version: VERSION, next, numbers: list })}\n`;
}

/** @throws data-loss, unsupported */
function decode(bytes: Uint8Array, what: string): [Map<string, number>, number] {
  const json = new JsonObject(parseJson(bytes, what), what);
  const version = json.size("version");
  if (version !== VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: version is ${version}, want ${VERSION}`,
    );
  }
  const next = json.size("next");
  const numbers = new Map<string, number>();
  for (const line of json.optionalStrings("numbers", MAX_TABLES) ?? []) {
    const [key = "", digits = ""] = line.split(" ");
    const number = Number(digits);
    if (!KEY.test(key) || !/^\d{1,7}$/.test(digits) || number < 1 || number >= next) {
      throw new SociError("data-loss", `Cannot use ${what}: "${line}" is no number below ${next}`);
    }
    numbers.set(key, number);
  }
  if (next < 1 || next > MAX_TABLES || new Set(numbers.values()).size !== numbers.size) {
    throw new SociError("data-loss", `Cannot use ${what}: two have one number, or next is ${next}`);
  }
  return [numbers, next];
}
