const HEX = "0123456789abcdef";

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '\\"'],
  [0x5c, "\\\\"],
  [0x08, "\\b"],
  [0x0c, "\\f"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
  // json.Marshal() escapes for HTML, and the two line ends that JavaScript once did not take in strings.
  [0x3c, "\\u003c"],
  [0x3e, "\\u003e"],
  [0x26, "\\u0026"],
  [0x2028, "\\u2028"],
  [0x2029, "\\u2029"],
]);

/**
 * A JSON string as Go's json.Marshal() writes it, quotes included. Bytes are taken as Go takes a string:
 * each byte that is not part of UTF-8 becomes the escape `\ufffd`. https://pkg.go.dev/encoding/json#Marshal
 */
export function goJsonString(value: string | Uint8Array): string {
  if (typeof value === "string") return `"${escapeText(value.toWellFormed())}"`;
  let out = "";
  let start = 0;
  for (let at = 0; at < value.length;) {
    const length = utf8LengthAt(value, at);
    if (length > 0) {
      at += length;
      continue;
    }
    out += `${escapeText(decode(value.subarray(start, at)))}\\ufffd`;
    at++;
    start = at;
  }
  return `"${out}${escapeText(decode(value.subarray(start)))}"`;
}

/** Compares as Go compares strings, and so sorts the keys of maps: by the bytes of their UTF-8. */
export function compareGoStrings(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
}

// Not the start of a BOM: it is a character like any other to Go.
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

function decode(bytes: Uint8Array): string {
  return UTF8.decode(bytes);
}

function escapeText(text: string): string {
  let out = "";
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const escaped = ESCAPES.get(code) ?? (code < 0x20 ? controlEscape(code) : undefined);
    if (escaped === undefined) continue;
    out += text.slice(start, at) + escaped;
    start = at + 1;
  }
  return out + text.slice(start);
}

function controlEscape(code: number): string {
  return `\\u00${HEX[code >> 4]}${HEX[code & 15]}`;
}

const UTF8_LENGTHS = [
  { end: 0xc2, length: 0 },
  { end: 0xe0, length: 2 },
  { end: 0xf0, length: 3 },
  { end: 0xf5, length: 4 },
] as const;

/** Length of the UTF-8 character at `at`, 0 when there is none. https://datatracker.ietf.org/doc/html/rfc3629#section-4 */
function utf8LengthAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = UTF8_LENGTHS.find(({ end }) => first < end)?.length ?? 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1] ?? 0;
  // Overlong forms, surrogates and what lies beyond U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
