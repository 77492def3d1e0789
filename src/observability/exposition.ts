interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number | undefined>>;
  /** Where it is not the family's: of a histogram's buckets, sum and count. */
  readonly metricName?: string;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly values: readonly Sample[];
}

/**
 * Metrics as text, in the order in which Go's client writes them, because tools compare whole lines:
 * families by name; labels by name, a histogram's `le` last.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function exposition(families: readonly Family[]): string {
  return families
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(familyText)
    .join("");
}

function familyText({ name, help, type, values }: Family): string {
  if (values.length === 0) return "";
  const head = `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${String(type)}\n`;
  return head + values.map((sample) => sampleLine(name, sample)).join("");
}

function sampleLine(family: string, { value, labels, metricName }: Sample): string {
  const pairs = Object.entries(labels)
    .filter(([, text]) => text !== undefined)
    .toSorted(([a], [b]) => (rankOf(a) < rankOf(b) ? -1 : 1))
    .map(([label, text]) => `${label}="${escaped(String(text)).replaceAll('"', '\\"')}"`);
  const inBraces = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${metricName ?? family}${inBraces} ${numberText(value)}\n`;
}

/** Sorts `le` behind every label. */
function rankOf(label: string): string {
  return label === "le" ? "~" : label;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return Number.isNaN(value) ? "NaN" : String(value);
}
