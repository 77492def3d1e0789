// As safeText(), but for what JSON lets through unescaped; line ends and tabs are its own layout.
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

/** JSON text made fit for a terminal: the same document, controls in its strings written as `\u009b`. */
export function safeJson(json: string): string {
  return json.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
