import { versionOf } from "./soci-index.ts";
import type { Artifact } from "./artifact.ts";
import { formatGoDuration } from "./go-duration.ts";
import { formatTabTable } from "./tab-table.ts";

/** `index list` as the Go tool prints it; `now` in milliseconds since 1970. */
export function formatIndexTable(indexes: readonly Artifact[], now: number): string {
  return formatTabTable([
    ["DIGEST", "SIZE", "IMAGE REF", "PLATFORM", "MEDIA TYPE", "MANIFEST VERSION", "CREATED"],
    ...indexes.map((index) => [
      index.digest,
      String(index.size),
      index.imageName,
      index.platform,
      index.mediaType,
      versionOf(index.artifactType) ?? "",
      index.createdAt === 0 ? "n/a" : `${formatGoDuration(now - index.createdAt)} ago`,
    ]),
  ]);
}

/** JSON, laid out as Go's json.Indent() does with two spaces: nothing but the white space is changed. */
export function indentJson(json: string): string {
  let out = "";
  let depth = 0;
  const newline = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of json.matchAll(
    /"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/gs,
  )) {
    if (token === "{" || token === "[") {
      depth++;
      out += token + newline();
    } else if (token === "}" || token === "]") {
      depth--;
      out += newline() + token;
    } else if (token === ",") {
      out += token + newline();
    } else if (token === ":") {
      out += ": ";
    } else {
      out += token.startsWith("{") ? "{}" : token.startsWith("[") ? "[]" : token;
    }
  }
  return out;
}
