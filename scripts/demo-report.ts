import { formatByteSize } from "../src/cli/byte-size.ts";
import type { Candidate, Choice } from "./demo-choice.ts";
import type { Cost } from "./demo-download.ts";
import { type DemoOutput, seconds } from "./demo-output.ts";

/** One way of getting at files. */
export interface ReportRow {
  readonly title: string;
  readonly cost: Cost;
}

/** The table at the end: each row beside what the full download, the first of them, has cost. */
export function report(output: DemoOutput, full: ReportRow, rows: readonly ReportRow[]): void {
  output.table(
    ["", "seconds", "requests", "bytes", "of the image", "faster"],
    [full, ...rows].map(({ title, cost: { ms, requests, bytes } }) => [
      title,
      seconds(ms),
      String(requests),
      formatByteSize(bytes),
      `${((bytes / full.cost.bytes) * 100).toFixed(1)} %`,
      `${(full.cost.ms / ms).toFixed(1)}x`,
    ]),
  );
}

/** A specimen as the table calls it. */
export function titleOf({ label, file }: Choice<Candidate>): string {
  return `${label} file, ${formatByteSize(file.size)}`;
}
