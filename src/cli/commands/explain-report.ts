import type { LayerReport } from "../../daemon/daemon-api.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Discovery, IndexOrigin } from "../../soci/discover.ts";
import { formatByteSize } from "../byte-size.ts";
import { safeText } from "../safe-text.ts";
import type { ExplainedLayer } from "./explain-layers.ts";

/** What the daemon on this host has to say of an image's layers. */
export type DaemonView =
  | { readonly address: string; readonly reports: ReadonlyMap<Digest, LayerReport> }
  | { readonly address: string; readonly failure: string };

export interface Explanation {
  readonly image: string;
  readonly manifest: Digest;
  /** Empty: not known. */
  readonly platform: string;
  readonly discovery: Discovery;
  /** Bottom first. */
  readonly layers: readonly ExplainedLayer[];
  /** Undefined: nobody was to ask it. */
  readonly daemon: DaemonView | undefined;
}

/** lazy: read span by span; whole: downloaded before it can be used; refused: the daemon left it to containerd. */
type Verdict = "lazy" | "whole" | "refused";

const ORIGINS: Readonly<Record<IndexOrigin, string>> = {
  explicit: "as --index says",
  "v2-annotation": "named by the manifest",
  referrers: "refers to the manifest",
  local: "made on this host, not found in the registry",
};

/** For people: what the image is, a line for each layer, and what it comes to. */
export function formatExplanation(explanation: Explanation): string {
  const { image, manifest, platform, layers, daemon } = explanation;
  const head = [
    ["image", safeText(image)],
    ["manifest", safeText(`${manifest} ${platform}`.trim())],
    ["index", indexLine(explanation.discovery)],
    ...(daemon === undefined ? [] : [["daemon", daemonLine(daemon)]]),
  ];
  const rows = layers.map((layer) => {
    const report = reportOf(daemon, layer);
    return [
      layer.descriptor.digest.slice(0, "sha256:".length + 12),
      formatByteSize(layer.descriptor.size),
      layer.encoding,
      shareOf(report),
      report === undefined ? "-" : String(report.mounts),
      verdictLine(layer, report),
    ];
  });
  const table = [["LAYER", "SIZE", "ENCODING", "LOCAL", "MOUNTS", "VERDICT"], ...rows];
  return `${alignColumns(head)}\n${alignColumns(table)}\n${summaryOf(explanation)}\n`;
}

/** For programs; keys are never taken away. */
export function jsonOfExplanation(explanation: Explanation): unknown {
  const { image, manifest, platform, discovery, layers, daemon } = explanation;
  const { found, misses } = discovery;
  return {
    image,
    manifest,
    platform: platform === "" ? null : platform,
    index:
      found === undefined
        ? null
        : {
            digest: found.descriptor.digest,
            version: found.index.version,
            from: found.from,
          },
    misses: misses.map(({ from, reason, error }) => ({
      from,
      reason,
      failed: error !== undefined,
    })),
    daemon:
      daemon === undefined
        ? null
        : "failure" in daemon
          ? { address: daemon.address, running: false, reason: daemon.failure }
          : { address: daemon.address, running: true },
    layers: layers.map((layer) => {
      const { digest, mediaType, size } = layer.descriptor;
      const report = reportOf(daemon, layer);
      return {
        digest,
        mediaType,
        size,
        encoding: layer.encoding,
        verdict: verdictOf(layer, report),
        reason: layer.reason === "" ? null : layer.reason,
        ztoc: layer.ztoc ?? null,
        local:
          report === undefined
            ? null
            : {
                snapshots: report.snapshots,
                localBytes: report.localBytes,
                totalBytes: report.totalBytes,
                mounts: report.mounts,
                refusal: report.refusal === "" ? null : report.refusal,
              },
      };
    }),
    summary: summaryOf(explanation),
  };
}

/** Which index an image has and where it was found, or where it was looked for; fit for a terminal. */
export function indexLine({ found, misses }: Discovery): string {
  const asked = misses.map(({ from, reason }) => `${from}: ${reason}`).join("; ");
  if (found === undefined) return safeText(`none (${asked})`);
  const { descriptor, index, from } = found;
  const failed = misses.filter(({ error }) => error !== undefined);
  const failures = failed.map((miss) => `; ${miss.from}: ${miss.reason}`).join("");
  return safeText(`${descriptor.digest} (${index.version}, ${ORIGINS[from]}${failures})`);
}

function daemonLine(daemon: DaemonView): string {
  return "failure" in daemon
    ? safeText(`none: ${daemon.failure}`)
    : safeText(`answers at ${daemon.address}`);
}

function reportOf(
  daemon: DaemonView | undefined,
  { descriptor }: ExplainedLayer,
): LayerReport | undefined {
  return daemon === undefined || "failure" in daemon
    ? undefined
    : daemon.reports.get(descriptor.digest);
}

/** 100 % only when all is there. */
function shareOf(report: LayerReport | undefined): string {
  if (report === undefined || report.totalBytes === 0) return "-";
  return `${Math.floor((100 * report.localBytes) / report.totalBytes)} %`;
}

function verdictOf({ ztoc }: ExplainedLayer, report: LayerReport | undefined): Verdict {
  // Of a layer that snapshots hold it was another image that was refused.
  if (report !== undefined && report.refusal !== "" && report.snapshots === 0) return "refused";
  return ztoc === undefined ? "whole" : "lazy";
}

function verdictLine(layer: ExplainedLayer, report: LayerReport | undefined): string {
  const { ztoc, reason } = layer;
  const found =
    ztoc === undefined
      ? `whole: ${safeText(reason)}`
      : `lazy: zTOC of ${formatByteSize(ztoc.size)}, ${counted(ztoc.spans, "span")}`;
  return verdictOf(layer, report) === "refused"
    ? `refused by the daemon: ${refusalOf(report)} (by the registry ${found})`
    : found;
}

/** Why, without that it was about a layer. */
function refusalOf(report: LayerReport | undefined): string {
  return safeText(
    (report?.refusal ?? "").replace(/Cannot serve (the )?layer[^:]*(:[0-9a-f]{64})?: /, ""),
  );
}

function summaryOf({ layers, daemon }: Explanation): string {
  const of = (verdict: Verdict): readonly ExplainedLayer[] =>
    layers.filter((layer) => verdictOf(layer, reportOf(daemon, layer)) === verdict);
  const [lazy, whole, refused] = [of("lazy"), of("whole"), of("refused")];
  const parts = [leadOf(lazy.length, layers.length)];
  if (whole.length > 0) {
    parts.push(`${whole.length} (${sizeOf(whole)}) must be downloaded whole first`);
  }
  if (refused.length > 0) {
    parts.push(`${refused.length} (${sizeOf(refused)}) the daemon left to containerd`);
  }
  return parts.join("; ");
}

function leadOf(lazy: number, all: number): string {
  if (all === 0) return "It has no layers";
  if (lazy === all) return all === 1 ? "Its layer starts lazily" : `All ${all} layers start lazily`;
  return `${lazy} of ${counted(all, "layer")} ${lazy === 1 || all === 1 ? "starts" : "start"} lazily`;
}

function sizeOf(layers: readonly ExplainedLayer[]): string {
  return formatByteSize(layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0));
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Columns two spaces apart; the last one as it comes. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
