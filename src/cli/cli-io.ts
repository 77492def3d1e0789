/** Where a command's result goes. */
export interface OutputStream {
  readonly isTty: boolean;
  /**
   * Resolves when all bytes are handed to the kernel. Throws OutputClosed when the reader has gone,
   * the interrupt's reason when interrupted, SociError otherwise.
   */
  write(chunk: string | Uint8Array): Promise<void>;
}

/** Where progress, logs and errors go. Synchronous, so that nothing is lost at exit; never throws. */
export interface ErrorStream {
  readonly isTty: boolean;
  /** Terminal size now; 80 by 24 when unknown. */
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
}

/** Everything of the process that the command line may touch, so that tests run it in-process. */
export interface CliIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTty: boolean;
  /** Asks for a line on the terminal; what is typed does not appear. @throws failed-precondition without a terminal */
  readonly readSecret: (prompt: string) => Promise<string>;
  readonly stdout: OutputStream;
  readonly stderr: ErrorStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths of the command line are relative to it. */
  readonly cwd: string;
  readonly uid: number;
  /** Aborted by SIGINT, SIGTERM and SIGHUP; its reason is an Interrupt. */
  readonly signal: AbortSignal;
}

/** The reader of standard output has closed it: the command ends quietly, as `… | head` expects. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";

  constructor(options?: ErrorOptions) {
    super("Cannot write to standard output: closed by its reader", options);
  }
}

/** The reason of an aborted `CliIo.signal`. */
export class Interrupt extends Error {
  override readonly name = "Interrupt";
  readonly signalName: "SIGINT" | "SIGTERM" | "SIGHUP";

  constructor(signalName: Interrupt["signalName"]) {
    super(`Interrupted by ${signalName}`);
    this.signalName = signalName;
  }
}

/** Another process has done the command's work and failed; it has said why itself. */
export class FailedElsewhere extends Error {
  override readonly name = "FailedElsewhere";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`The process in the background ended with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
