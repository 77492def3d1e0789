import { mkdir, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { formatByteSize } from "../src/cli/byte-size.ts";
import { safeText } from "../src/cli/safe-text.ts";
import { SociError } from "../src/errors.ts";
import type { LineMeter } from "./demo-meter.ts";
import { MountPlace, whyNoMounts } from "./demo-mount.ts";
import { type ProgramRun, runProgram } from "./demo-program.ts";
import { type ReportRow, sumOfCosts, titleOf } from "./demo-report.ts";
import { type SpecimenRead, type Stage, sociable } from "./demo-stage.ts";

export interface ReadMountedOptions {
  /** The image behind the slow line. */
  readonly far: string;
  /** What was read of it by other means. */
  readonly reads: readonly SpecimenRead[];
  /** On that line. */
  readonly meter: LineMeter;
}

const STATE = "mounter";

/**
 * Mounts the image and reads the specimens again, as any program reads files. Each thing done is a
 * row; none where nothing can be mounted, which is said. @throws data-loss when a byte differs
 */
export async function readMounted(
  stage: Stage,
  options: ReadMountedOptions,
): Promise<readonly ReportRow[]> {
  const { output, signal } = stage;
  return await output.step("Mount it, from afar, and read the same files with cat", async () => {
    const top = await realpath(stage.directory);
    const directory = join(top, "mnt");
    await mkdir(directory);
    await using place = new MountPlace({ directory, root: join(stage.directory, STATE), signal });
    const reason = await whyNoMounts(directory);
    if (reason === undefined) return await new MountedReads(stage, options, place).run();
    output.line(safeText(`skipped: ${reason}`));
    return [];
  });
}

/** The commands on one mount, told on standard output, and what each has cost. */
class MountedReads {
  readonly #stage: Stage;
  readonly #options: ReadMountedOptions;
  readonly #place: MountPlace;
  readonly #rows: ReportRow[] = [];

  constructor(stage: Stage, options: ReadMountedOptions, place: MountPlace) {
    this.#stage = stage;
    this.#options = options;
    this.#place = place;
  }

  async run(): Promise<readonly ReportRow[]> {
    const { reads } = this.#options;
    const { directory } = this.#place;
    await this.#row("mount, to the first ls -l /", async () => {
      const mounting = await this.#mount();
      const { stdout, ms } = await this.#command(["ls", "-l", `${directory}/`]);
      this.#stage.output.text(stdout);
      return mounting.ms + ms;
    });
    await this.#row("mount: find, through all directories", () => this.#find());
    for (const read of reads) {
      await this.#row(`mount: ${titleOf(read.choice)}`, () => this.#cat(read));
    }
    const last = reads.at(-1);
    if (last !== undefined) {
      await this.#row(`mount: ${last.choice.label} file, from the cache`, () => this.#cat(last));
    }
    const all = this.#rows.map(({ cost }) => cost).reduce(sumOfCosts);
    this.#rows.push({ title: "mount: all of this", cost: all });
    await this.#unmount();
    return this.#rows;
  }

  /**
   * Does something that returns its milliseconds, or nothing when it cannot be done. The row has all
   * that came over the line for it, also what came after it.
   */
  async #row(title: string, work: () => Promise<number | undefined>): Promise<void> {
    const { meter } = this.#options;
    const before = meter.traffic;
    const ms = await work();
    if (ms === undefined) return;
    await meter.quiet({ signal: this.#stage.signal });
    const { requests, bytes } = meter.traffic;
    this.#rows.push({
      title,
      cost: { ms, requests: requests - before.requests, bytes: bytes - before.bytes },
    });
  }

  async #mount(): Promise<ProgramRun> {
    const argv = ["mount", "--detach", this.#options.far, this.#place.directory];
    this.#stage.output.command(["sociable", ...argv]);
    const run = await sociable(this.#stage, STATE, argv);
    this.#stage.output.text(run.stderr);
    this.#stage.output.text(run.stdout);
    return run;
  }

  /** Goes through all directories; what it finds is what is read next. */
  async #find(): Promise<number> {
    const { directory } = this.#place;
    const names = [...new Set(this.#options.reads.map(({ choice }) => basename(choice.file.path)))];
    const tests = names.flatMap((name, i) => [...(i === 0 ? [] : ["-o"]), "-name", literal(name)]);
    const argv = ["find", directory, "-type", "f", "(", ...tests, ")"];
    const { stdout, ms } = await this.#command(argv);
    this.#stage.output.text(stdout);
    return ms;
  }

  async #cat({ choice, bytes }: SpecimenRead): Promise<number | undefined> {
    const path = `${this.#place.directory}${choice.file.path}`;
    const { code, stdout, ms } = await this.#command(["cat", path]);
    if (code !== 0) {
      this.#stage.output.line("only root may read it: the mount goes by the modes of the image");
      return undefined;
    }
    if (Buffer.compare(stdout, bytes) !== 0) {
      throw new SociError("data-loss", `Cannot use "${path}": it is not the original`);
    }
    this.#stage.output.line(`${formatByteSize(stdout.length)}, byte for byte the original`);
    return ms;
  }

  async #unmount(): Promise<void> {
    const argv = ["unmount", this.#place.directory];
    this.#stage.output.command(["sociable", ...argv]);
    await sociable(this.#stage, STATE, argv);
    await this.#place.ended();
  }

  /** Never a look of our own at the mount: this process is the slow line that the mount needs. */
  async #command(argv: readonly string[]): Promise<ProgramRun> {
    this.#stage.output.command(argv);
    return await runProgram(argv, {
      signal: this.#stage.signal,
      env: { LC_ALL: "C" },
      // An image may hold what is for root alone.
      accept: process.geteuid?.() === 0 ? [] : [1],
    });
  }
}

/** A pattern of find's that means nothing but itself. */
function literal(name: string): string {
  return name.replace(/[\\*?[\]]/g, "\\$&");
}
