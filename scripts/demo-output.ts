import { safeText } from "../src/cli/safe-text.ts";

const SHOWN_LINES = 6;

/** What the demo prints, and how it looks. */
export class DemoOutput {
  readonly #isTty = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "";
  #steps = 0;

  title(text: string): void {
    console.log(`\n${this.#styled("1", text)}`);
  }

  /** Runs one step; its line says how long it took, and what it says at its end. */
  async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    this.#steps += 1;
    console.log(`\n${this.#styled("1", `${this.#steps}. ${title}`)}`);
    const started = performance.now();
    const result = await work();
    this.line(this.#styled("2", `${seconds(performance.now() - started)} s`));
    return result;
  }

  line(text: string): void {
    console.log(`   ${text}`);
  }

  /** The first lines of what a program printed. */
  text(printed: Uint8Array | string): void {
    const lines = Buffer.from(printed).toString().trimEnd().split("\n");
    if (lines.length === 1 && lines[0] === "") return;
    for (const line of lines.slice(0, SHOWN_LINES)) this.line(safeText(line));
    const more = lines.length - SHOWN_LINES;
    if (more > 0) this.line(`… and ${more} more`);
  }

  /** A command as a user would type it. */
  command(argv: readonly string[]): void {
    this.line(this.#styled("36", `$ ${argv.map(quoted).join(" ")}`));
  }

  /** Rows under a header; the first column is aligned left, the others right. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = header.map((title, column) =>
      Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
    );
    const aligned = (row: readonly string[]): string =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("   ");
    console.log();
    this.line(this.#styled("1", aligned(header)));
    for (const row of rows) this.line(aligned(row));
  }

  #styled(code: string, text: string): string {
    return this.#isTty ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** Seconds with two decimals. */
export function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}

/** Digests as people tell them apart. */
export function shortDigests(text: string): string {
  return text
    .replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, "$1…")
    .replace(/ \(application\/[^)]*\)/g, "");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
