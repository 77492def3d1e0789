import { runProgram } from "../test/support/sociable-binary.ts";

export interface LoopReport {
  readonly title: string;
  readonly runs: number;
  /** What went wrong, the first few. */
  readonly faults: readonly string[];
}

export interface LoopOrder {
  readonly title: string;
  readonly command: readonly string[];
  /** What it prints when all is right. */
  readonly expected: string;
}

const MOST_TOLD = 10;

/** Runs a program again and again until it is stopped, and holds each run's output against what is right. */
export class LoopReader {
  readonly #order: LoopOrder;
  readonly #result: Promise<LoopReport>;
  #isStopped = false;

  constructor(order: LoopOrder) {
    this.#order = order;
    this.#result = this.#run();
  }

  async stop(): Promise<LoopReport> {
    this.#isStopped = true;
    return await this.#result;
  }

  async #run(): Promise<LoopReport> {
    const { title, command, expected } = this.#order;
    const faults: string[] = [];
    let runs = 0;
    while (!this.#isStopped) {
      const { code, stdout, stderr } = await runProgram(command);
      runs += 1;
      const isRight = code === 0 && stderr === "" && Buffer.from(stdout).toString() === expected;
      if (isRight || faults.length >= MOST_TOLD) continue;
      faults.push(`ended with ${code}: ${stderr.slice(0, 300)} ${stdout.length} bytes`);
    }
    return { title, runs, faults };
  }
}
