// C0 and C1 controls and DEL can drive a terminal; the bidirectional controls and the line and
// paragraph separators can make it show another name than there is (CVE-2021-42574).
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Text from an image, a registry or a file name, made fit for a terminal or a log line: one line,
 * controls shown as `\n`, `\x1b`, `\u202e`. For display only: it cannot be turned back.
 */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const hex = code.toString(16);
    return (
      SHORT_ESCAPES[character] ??
      (code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`)
    );
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** safeText() of raw bytes, as names in a tar are: bytes that are not UTF-8 are shown as `\xff`. */
export function safeBytes(bytes: Uint8Array): string {
  let text = "";
  let start = 0;
  while (start < bytes.length) {
    const end = start + sequenceLength(bytes, start);
    text += decode(bytes.subarray(start, end));
    start = end;
  }
  return text;
}

function decode(bytes: Uint8Array): string {
  try {
    return safeText(utf8.decode(bytes));
  } catch {
    // Not UTF-8, which the decoder says by throwing.
    return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  }
}

/** A run of ASCII, or the bytes that one lead byte claims, cut at the first that cannot follow it. */
function sequenceLength(bytes: Uint8Array, start: number): number {
  const lead = bytes[start] ?? 0;
  let length = 1;
  if (lead < 0x80) {
    while ((bytes[start + length] ?? 0x80) < 0x80) length += 1;
    return length;
  }
  const claimed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  while (length < claimed && ((bytes[start + length] ?? 0) & 0xc0) === 0x80) length += 1;
  return length;
}
