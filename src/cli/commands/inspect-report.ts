import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { Discovery } from "../../soci/discover.ts";
import { formatByteSize } from "../byte-size.ts";
import type { Paint } from "../colors.ts";
import { safeText } from "../safe-text.ts";
import { cutToWidth, formatTable } from "../table.ts";
import type { ExplainedLayer } from "./explain-layers.ts";
import { indexLine } from "./explain-report.ts";
import type { RunConfig } from "./inspect-config.ts";
import type { ColdStart, StartRequest } from "./inspect-start.ts";

/** All that is shown of one platform of an image. */
export interface Inspection {
  readonly image: string;
  /** What the image's name stands for. */
  readonly root: Digest;
  readonly manifest: Digest;
  readonly platform: string;
  /** All that the image is there for. */
  readonly platforms: readonly Descriptor[];
  readonly config: RunConfig;
  readonly discovery: Discovery;
  /** Bottom first. */
  readonly layers: readonly ExplainedLayer[];
  readonly start: ColdStart;
}

export interface FormatInspectionOptions {
  readonly paint: Paint;
  /** Columns of the terminal; undefined where there is none: nothing is cut then. */
  readonly width: number | undefined;
}

const MAX_LABELS = 12;
const SHORT_DIGEST = "sha256:".length + 12;

/** For people, on one screen; all of it fit for a terminal. */
export function formatInspection(
  inspection: Inspection,
  { paint, width }: FormatInspectionOptions,
): string {
  const facts = [...factsOf(inspection), ...configFacts(inspection.config)]
    .filter(([, text]) => text !== "")
    .map(([name, text]) => [paint("dim", name), text]);
  return [
    formatTable(facts, { maxWidth: width }),
    layerTable(inspection.layers, { paint, width }),
    startLines(inspection)
      .map((line) => `${width === undefined ? line : cutToWidth(line, width)}\n`)
      .join(""),
  ].join("\n");
}

/** For programs; keys are never taken away. */
export function jsonOfInspection(inspection: Inspection): unknown {
  const { image, root, manifest, platform, platforms, config, discovery, layers, start } =
    inspection;
  const { found, misses } = discovery;
  return {
    image,
    root,
    manifest,
    platform,
    platforms: platforms.map((descriptor) => ({
      platform: descriptor.platform === undefined ? null : formatPlatform(descriptor.platform),
      digest: descriptor.digest,
      size: descriptor.size,
    })),
    config,
    index:
      found === undefined
        ? null
        : {
            digest: found.descriptor.digest,
            size: found.descriptor.size,
            version: found.index.version,
            from: found.from,
          },
    misses: misses.map(({ from, reason, error }) => ({
      from,
      reason,
      failed: error !== undefined,
    })),
    layers: layers.map(({ descriptor, encoding, ztoc, reason }) => ({
      digest: descriptor.digest,
      mediaType: descriptor.mediaType,
      size: descriptor.size,
      encoding,
      ztoc: ztoc ?? null,
      reason: reason === "" ? null : reason,
    })),
    coldStart: {
      ...start,
      rounds: start.rounds.map((round) =>
        round.map(({ what, requests, bytes }) => ({ what, requests, bytes: bytes ?? null })),
      ),
    },
  };
}

type Fact = readonly [name: string, text: string];

function factsOf({
  image,
  root,
  manifest,
  platform,
  platforms,
  config,
  discovery,
}: Inspection): readonly Fact[] {
  const names = platforms.map((one) =>
    one.platform === undefined ? "unknown" : formatPlatform(one.platform),
  );
  return [
    ["image", safeText(image)],
    ["digest", root === manifest ? "" : root],
    ["manifest", safeText(`${manifest} ${platform}`.trim())],
    ["platforms", names.length < 2 ? "" : safeText(names.join(", "))],
    ["created", safeText(config.created)],
    ["index", indexLine(discovery)],
  ];
}

function configFacts(config: RunConfig): readonly Fact[] {
  const { entrypoint, command, envNames, exposedPorts, volumes } = config;
  const labels = Object.entries(config.labels);
  const hidden = labels.length - MAX_LABELS;
  return [
    ["entrypoint", commandText(entrypoint)],
    ["command", commandText(command)],
    ["workdir", safeText(config.workingDirectory)],
    ["user", safeText(config.user)],
    ["env", safeText(envNames.join(" "))],
    ["ports", safeText(exposedPorts.join(", "))],
    ["volumes", safeText(volumes.join(", "))],
    ["stop signal", safeText(config.stopSignal)],
    ...labels
      .slice(0, MAX_LABELS)
      .map(([name, value], i): Fact => [i === 0 ? "labels" : " ", safeText(`${name}=${value}`)]),
    [" ", hidden > 0 ? `and ${hidden} more, see --json` : ""],
  ];
}

/** Words of a command line, those in quotes that a shell would take apart. */
function commandText(words: readonly string[]): string {
  return safeText(
    words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" "),
  );
}

function layerTable(
  layers: readonly ExplainedLayer[],
  { paint, width }: FormatInspectionOptions,
): string {
  const head = ["LAYER", "SIZE", "UNPACKED", "ENCODING", "SPANS", "FILES", "ZTOC", ""];
  const rows = layers.map(({ descriptor, encoding, ztoc, reason }) => [
    descriptor.digest.slice(0, SHORT_DIGEST),
    formatByteSize(descriptor.size),
    ztoc === undefined ? "-" : formatByteSize(ztoc.uncompressedSize),
    encoding,
    ztoc === undefined ? "-" : String(ztoc.spans),
    ztoc === undefined ? "-" : String(ztoc.files),
    ztoc === undefined ? "-" : formatByteSize(ztoc.size),
    ztoc === undefined ? paint("yellow", `not indexed: ${safeText(reason)}`) : "",
  ]);
  return formatTable([head.map((cell) => paint("bold", cell)), ...rows], {
    right: [1, 2, 4, 5, 6],
    maxWidth: width,
  });
}

function startLines({ start, discovery }: Inspection): readonly string[] {
  const { rounds, requests, bytes, wholeLayers, wholeBytes, imageBytes } = start;
  const lines = [
    `Before a container runs, a cold start fetches ${formatByteSize(bytes + wholeBytes)}, of layers of ${formatByteSize(imageBytes)}: ${counted(requests, "request")} in ${counted(rounds.length, "round")}`,
    ...rounds.map((round, i) => `  ${i + 1}. ${roundText(round)}`),
  ];
  if (wholeLayers > 0) {
    const size = formatByteSize(wholeBytes);
    lines.push(`  and whole, ${counted(wholeLayers, "layer")} without a zTOC: ${size}`);
  }
  if (wholeBytes < imageBytes) lines.push("then the spans of files as they are read.");
  if (discovery.found?.from === "local") {
    lines.push(
      `Index and zTOCs are on this host alone: others fetch all ${formatByteSize(imageBytes)}, until you push the index.`,
    );
  }
  return lines;
}

function roundText(round: readonly StartRequest[]): string {
  return round
    .map(({ what, requests, bytes }) => {
      const count = requests === 1 ? what : `${requests} ${what}`;
      return bytes === undefined ? count : `${count} ${formatByteSize(bytes)}`;
    })
    .join(" + ");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
