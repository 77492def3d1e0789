/** Longest that anything is waited for: a test that hangs fails, and cleans up. */
const PATIENCE_MS = 60_000;

export interface DaemonOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Is told of each whole line on standard error. */
  readonly onLine?: (line: string) => void;
}

/** A program that runs until it is ended, and says on standard error how far it is. Disposing kills it. */
export class DaemonProcess implements AsyncDisposable {
  readonly #command: readonly string[];
  readonly #child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #output: Promise<void>;
  readonly #onLine: (line: string) => void;
  readonly #waiting = new Set<() => void>();
  #stderr = "";

  constructor(
    command: readonly string[],
    { env = {}, onLine = () => undefined }: DaemonOptions = {},
  ) {
    this.#command = command;
    this.#onLine = onLine;
    this.#child = Bun.spawn([...command], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#output = this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed on standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Its exit code, once it has ended. @throws when that takes too long */
  get exited(): Promise<number> {
    const exited = this.#output.then(() => this.#child.exited);
    return inTime(exited, () => `${this.#name} does not end: ${this.#tail}`);
  }

  /** Waits until it has said so on standard error. @throws when that takes too long, or it ends before */
  async saying(text: string | RegExp): Promise<void> {
    const isSaid = (): boolean =>
      typeof text === "string" ? this.#stderr.includes(text) : text.test(this.#stderr);
    const { promise: said, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (isSaid()) resolve();
    };
    this.#waiting.add(look);
    look();
    const ended = this.#output.then(async () => {
      if (isSaid()) return;
      throw new Error(`${this.#name} ended with ${await this.#child.exited}: ${this.#tail}`);
    });
    try {
      const waited = Promise.race([said, ended]);
      await inTime(waited, () => `${this.#name} does not say "${String(text)}": ${this.#tail}`);
    } finally {
      this.#waiting.delete(look);
    }
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** Asks it to end, and resolves to its exit code. @throws when that takes too long */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.kill(signal);
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  get #name(): string {
    return this.#command.slice(0, 2).join(" ");
  }

  get #tail(): string {
    return this.#stderr.slice(-4000);
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stderr) {
      const text = decoder.decode(chunk, { stream: true });
      this.#stderr += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#onLine(line);
      for (const look of this.#waiting) look();
    }
    if (rest !== "") this.#onLine(rest);
    for (const look of this.#waiting) look();
  }
}

async function inTime<T>(promise: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message())), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
