const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };
const ESCAPE = /\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gsu;
const MAX_RUNE = 0x10_ffff;

/**
 * What a quoted literal of a filter stands for; `undefined` when it is none. The scanner has seen
 * to its form.
 * https://github.com/containerd/containerd/blob/main/pkg/filters/quote.go
 */
export function unquoteFilter(quoted: string): string | undefined {
  const inner = quoted.slice(1, -1);
  if (!inner.includes("\\")) return inner;
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const match of inner.matchAll(ESCAPE)) {
    const bytes = bytesOf(match);
    if (bytes === undefined) return undefined;
    chunks.push(Buffer.from(inner.slice(end, match.index)), bytes);
    end = match.index + match[0].length;
  }
  chunks.push(Buffer.from(inner.slice(end)));
  return Buffer.concat(chunks).toString();
}

function bytesOf(match: RegExpExecArray): Uint8Array | undefined {
  const [, octal, hex, short, long, character] = match;
  if (octal !== undefined) return byteOf(Number.parseInt(octal, 8));
  if (hex !== undefined) return byteOf(Number.parseInt(hex, 16));
  const point = short ?? long;
  if (point !== undefined) {
    const value = Number.parseInt(point, 16);
    return value > MAX_RUNE ? undefined : Buffer.from(String.fromCodePoint(value));
  }
  if (character === undefined) return undefined;
  const control = Object.hasOwn(ESCAPES, character) ? ESCAPES[character] : undefined;
  return control === undefined ? Buffer.from(character) : byteOf(control);
}

function byteOf(value: number): Uint8Array | undefined {
  return value > 0xff ? undefined : Uint8Array.of(value);
}
