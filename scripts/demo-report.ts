import { formatByteSize } from "../src/cli/byte-size.ts";
import type { Candidate, Choice } from "./demo-choice.ts";
import type { Cost } from "./demo-download.ts";
import { type DemoOutput, seconds } from "./demo-output.ts";

/** One way of getting at files. */
export interface ReportRow {
  readonly title: string;
  readonly cost: Cost;
  /** What it is faster or slower than; the download of the whole image, when not given. */
  readonly rival?: Cost;
}

/** A table: each row beside what the download of the whole image has cost, or beside its own rival. */
export function report(
  output: DemoOutput,
  { full, rows }: { readonly full: Cost; readonly rows: readonly ReportRow[] },
): void {
  output.table(
    ["", "seconds", "requests", "bytes", "of the image", "faster"],
    rows.map(({ title, cost: { ms, requests, bytes }, rival = full }) => [
      title,
      seconds(ms),
      String(requests),
      formatByteSize(bytes),
      `${((bytes / full.bytes) * 100).toFixed(1)} %`,
      `${(rival.ms / ms).toFixed(1)}x`,
    ]),
  );
}

/** What two things after one another have cost. */
export function sumOfCosts(left: Cost, right: Cost): Cost {
  return {
    ms: left.ms + right.ms,
    requests: left.requests + right.requests,
    bytes: left.bytes + right.bytes,
  };
}

/** A specimen as the table calls it. */
export function titleOf({ label, file }: Choice<Candidate>): string {
  return `${label} file, ${formatByteSize(file.size)}`;
}
