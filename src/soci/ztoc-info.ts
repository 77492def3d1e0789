import type { Ztoc } from "../ztoc/ztoc.ts";
import { goJsonString } from "./go-string.ts";

/**
 * `ztoc info` as the Go tool prints it, in pieces: two-space JSON with a line end. `size` is the zTOC's own, in
 * bytes. A file's last span is that of the byte after its end.
 */
export function* formatZtocInfo(ztoc: Ztoc, size: number): Iterable<string> {
  let multiSpanFiles = 0;
  for (const file of ztoc.files) {
    const { start, end } = spansOf(ztoc, file.uncompressedOffset, file.uncompressedSize);
    if (start !== end) multiSpanFiles++;
  }
  yield `{
  "version": ${goJsonString(ztoc.version)},
  "build_tool": ${goJsonString(ztoc.buildToolIdentifier)},
  "size": ${size},
  "span_size": ${ztoc.zinfo.spanSize},
  "num_spans": ${ztoc.maxSpanId + 1},
  "num_files": ${ztoc.files.length},
  "num_multi_span_files": ${multiSpanFiles},
  "files": `;
  if (ztoc.files.length === 0) {
    yield "null\n}\n";
    return;
  }
  let separator = "[";
  for (const file of ztoc.files) {
    const { start, end } = spansOf(ztoc, file.uncompressedOffset, file.uncompressedSize);
    yield `${separator}
    {
      "filename": ${goJsonString(file.name)},
      "offset": ${file.uncompressedOffset},
      "size": ${file.uncompressedSize},
      "type": ${goJsonString(file.type)},
      "start_span": ${start},
      "end_span": ${end}
    }`;
    separator = ",";
  }
  yield "\n  ]\n}\n";
}

function spansOf(
  { zinfo }: Ztoc,
  offset: number,
  size: number,
): { readonly start: number; readonly end: number } {
  return { start: zinfo.spanOf(offset), end: zinfo.spanOf(offset + size) };
}
