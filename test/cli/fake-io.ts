import type { CliIo } from "../../src/cli/cli-io.ts";
import { runCli } from "../../src/cli/run-cli.ts";
import type { CommandGroup } from "../../src/cli/registry-entry.ts";
import type { CliServices } from "../../src/cli/cli-services.ts";

export interface FakeIoOptions {
  readonly stdin?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  readonly stdinIsTty?: boolean;
  /** What the user types where a secret is asked for. */
  readonly secret?: string;
  readonly stdoutIsTty?: boolean;
  readonly stderrIsTty?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly signal?: AbortSignal;
  /** Thrown by each write to standard output. */
  readonly stdoutError?: Error;
}

/** A CliIo in memory. */
export class FakeIo implements CliIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTty: boolean;
  readonly readSecret: CliIo["readSecret"];
  readonly stdout: CliIo["stdout"];
  readonly stderr: CliIo["stderr"];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  readonly signal: AbortSignal;
  readonly #out: Uint8Array[] = [];
  readonly #err: string[] = [];

  constructor({
    stdin = [],
    stdinIsTty = false,
    secret,
    stdoutIsTty = false,
    stderrIsTty = false,
    columns = 80,
    rows = 24,
    env = {},
    cwd = "/srv",
    uid = 0,
    signal = new AbortController().signal,
    stdoutError,
  }: FakeIoOptions = {}) {
    this.stdin = (async function* () {
      yield* stdin;
    })();
    this.stdinIsTty = stdinIsTty;
    this.readSecret = async (prompt) => {
      if (secret === undefined) throw new Error("no secret was expected");
      this.stderr.write(prompt);
      return secret;
    };
    this.stdout = {
      isTty: stdoutIsTty,
      write: async (chunk) => {
        if (stdoutError !== undefined) throw stdoutError;
        this.#out.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk.slice());
      },
    };
    this.stderr = {
      isTty: stderrIsTty,
      columns,
      rows,
      write: (text) => {
        this.#err.push(text);
      },
    };
    this.env = env;
    this.cwd = cwd;
    this.uid = uid;
    this.signal = signal;
  }

  get stdoutBytes(): Uint8Array {
    return Buffer.concat(this.#out);
  }

  get stdoutText(): string {
    return Buffer.concat(this.#out).toString();
  }

  get stderrText(): string {
    return this.#err.join("");
  }
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions extends FakeIoOptions {
  readonly registry?: CommandGroup;
  readonly services?: CliServices;
}

/** Runs one command line in this process, by default without further threads. */
export async function runInProcess(
  argv: readonly string[],
  { registry, services = {}, ...ioOptions }: RunOptions = {},
): Promise<CliResult> {
  const io = new FakeIo(ioOptions);
  const code = await runCli(argv, {
    io,
    services,
    ...(registry === undefined ? {} : { registry }),
  });
  return { code, stdout: io.stdoutText, stderr: io.stderrText };
}
