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
    console.log();
  }

  #styled(code: string, text: string): string {
    return this.#isTty ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** Seconds with two decimals. */
export function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
