/** A Content-Range header, half-open. */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  /** Size of the whole; `undefined` when the server does not know. */
  readonly size: number | undefined;
}

const FORM = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/;

/** Reads a Content-Range header; `undefined` unless it is one sound range of bytes. https://www.rfc-editor.org/rfc/rfc9110#section-14.4 */
export function parseContentRange(header: string | null): ContentRange | undefined {
  const [, first, last, total] = FORM.exec(header?.trim() ?? "") ?? [];
  const start = Number(first);
  const end = Number(last) + 1;
  const size = total === "*" ? undefined : Number(total);
  const isSound =
    Number.isSafeInteger(start) &&
    Number.isSafeInteger(end) &&
    start < end &&
    (size === undefined || (Number.isSafeInteger(size) && end <= size));
  return isSound ? { start, end, size } : undefined;
}
