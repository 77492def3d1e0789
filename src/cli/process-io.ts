import { read, write, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import { SociError } from "../errors.ts";
import { type CliIo, type ErrorStream, OutputClosed, type OutputStream } from "./cli-io.ts";
import { readSecret } from "./read-secret.ts";

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

const READ_BYTES = 256 * 1024;
/** How long to wait before asking a full non-blocking pipe again. */
const RETRY_MS = 5;
/** After which a line for a terminal that takes nothing (Ctrl-S) is given up. */
const MAX_STDERR_RETRIES = 200;

/**
 * The running process as a CliIo. Descriptors are used directly: Bun's process.stdout would turn
 * them non-blocking, also for whoever shares them, and buffers without limit.
 */
export function processIo(signal: AbortSignal): CliIo {
  return {
    stdin: { [Symbol.asyncIterator]: () => readStdin(signal) },
    stdinIsTty: isatty(STDIN),
    readSecret: (prompt) => readSecret(prompt, signal),
    stdout: processStdout(signal),
    stderr: processStderr(),
    env: process.env,
    cwd: process.cwd(),
    uid: process.geteuid?.() ?? 0,
    signal,
  };
}

function processStdout(signal: AbortSignal): OutputStream {
  return {
    isTty: isatty(STDOUT),
    async write(chunk) {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      for (let start = 0; start < bytes.length;) {
        signal.throwIfAborted();
        start += await unlessAborted(writeSome(bytes.subarray(start)), signal);
      }
    },
  };
}

function processStderr(): ErrorStream {
  const isTty = isatty(STDERR);
  return {
    isTty,
    get columns() {
      return (isTty ? process.stderr.columns : undefined) ?? 80;
    },
    get rows() {
      return (isTty ? process.stderr.rows : undefined) ?? 24;
    },
    write(text) {
      const bytes = Buffer.from(text);
      let retries = 0;
      for (let start = 0; start < bytes.length;) {
        try {
          start += writeSync(STDERR, bytes, start);
        } catch (error) {
          // Nobody is left to be told that standard error cannot be written.
          if (codeOf(error) !== "EAGAIN" || retries >= MAX_STDERR_RETRIES) return;
          retries += 1;
          Bun.sleepSync(RETRY_MS);
        }
      }
    },
  };
}

async function* readStdin(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    signal.throwIfAborted();
    const chunk = await unlessAborted(readSome(), signal);
    if (chunk === undefined) return;
    yield chunk;
  }
}

/** `undefined` at the end of the input. */
async function readSome(): Promise<Uint8Array | undefined> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  for (;;) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    read(STDIN, buffer, 0, buffer.length, null, (error, length) =>
      error === null ? resolve(length) : reject(error),
    );
    try {
      const length = await promise;
      return length === 0 ? undefined : buffer.subarray(0, length);
    } catch (cause) {
      if (codeOf(cause) !== "EAGAIN") {
        throw new SociError("failed-precondition", "Cannot read standard input", { cause });
      }
    }
    await delay(RETRY_MS);
  }
}

/** Writes at least one byte; returns how many. */
async function writeSome(bytes: Uint8Array): Promise<number> {
  for (;;) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    write(STDOUT, bytes, 0, bytes.length, null, (error, length) =>
      error === null ? resolve(length) : reject(error),
    );
    try {
      return await promise;
    } catch (cause) {
      if (codeOf(cause) === "EPIPE") throw new OutputClosed({ cause });
      if (codeOf(cause) !== "EAGAIN") {
        throw new SociError("failed-precondition", "Cannot write to standard output", { cause });
      }
    }
    await delay(RETRY_MS);
  }
}

/**
 * The other end of a pipe may never read or write again; an interrupt must not wait for it. What is
 * left behind is one call in a thread, which ends with the process.
 */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
