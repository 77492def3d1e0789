/** A source file split from what is not code, at unchanged offsets and line breaks. */
export interface SourceText {
  /** Comments blanked; strings kept. */
  readonly code: string;
  /** Comments, strings, templates and regular expressions blanked: only structure is left. */
  readonly skeleton: string;
}

const LITERAL_OR_COMMENT =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|`(?:[^`\\]|\\[\s\S])*`|\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/g;
// Where an expression may begin, a slash begins a regular expression; elsewhere it divides.
const EXPRESSION_MAY_BEGIN = /(?:^|[(,=:[!&|?{};+>]|\breturn|\btypeof|\bcase)\s*$/;

/**
 * Tells code from comments and literals. Good enough for this project's sources: templates nested
 * in templates are not told apart.
 */
export function sourceText(text: string): SourceText {
  let code = "";
  let skeleton = "";
  let done = 0;
  LITERAL_OR_COMMENT.lastIndex = 0;
  for (;;) {
    const match = LITERAL_OR_COMMENT.exec(text);
    if (match === null) break;
    const [literal] = match;
    const isComment = literal.startsWith("//") || literal.startsWith("/*");
    const isRegExp = literal.startsWith("/") && !isComment;
    if (
      isRegExp &&
      !EXPRESSION_MAY_BEGIN.test(text.slice(Math.max(0, match.index - 20), match.index))
    ) {
      LITERAL_OR_COMMENT.lastIndex = match.index + 1;
      continue;
    }
    const before = text.slice(done, match.index);
    code += before + (isComment ? blank(literal) : literal);
    skeleton += before + blank(literal);
    done = match.index + literal.length;
  }
  const rest = text.slice(done);
  return { code: code + rest, skeleton: skeleton + rest };
}

/** One past the partner of the bracket at `open`; the end where there is none. */
export function endOfBracket(skeleton: string, open: number): number {
  let depth = 0;
  for (let at = open; at < skeleton.length; at += 1) {
    const character = skeleton[at] ?? "";
    if ("([{".includes(character)) depth += 1;
    else if (")]}".includes(character)) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return skeleton.length;
}

/** Number of the line, from 1, in which `offset` lies. */
export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

function blank(literal: string): string {
  return literal.replace(/[^\n]/g, " ");
}
