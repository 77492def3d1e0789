import { openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { abortable } from "../async/abortable.ts";
import { SociError } from "../errors.ts";

// Not standard input, which may be a pipe; and a descriptor of our own, so that its modes are, too.
const TERMINAL = "/dev/tty";
const MAX_BYTES = 4096;

const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACE = 0x08;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const CTRL_U = 0x15;
const DELETE = 0x7f;

/** Asks for a line on the terminal; what is typed does not appear. @throws failed-precondition without a terminal; the signal's reason */
export async function readSecret(prompt: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const descriptor = openTerminal();
  const terminal = new ReadStream(descriptor);
  try {
    terminal.setRawMode(true);
    writeSync(descriptor, prompt);
    return await abortable(readLine(terminal), signal);
  } finally {
    terminal.setRawMode(false);
    writeSync(descriptor, "\n");
    terminal.destroy();
  }
}

function openTerminal(): number {
  try {
    return openSync(TERMINAL, "r+");
  } catch (cause) {
    throw new SociError(
      "failed-precondition",
      "Cannot ask for the password: there is no terminal",
      {
        hint: "Give it on standard input, one line",
        cause,
      },
    );
  }
}

async function readLine(terminal: AsyncIterable<unknown>): Promise<string> {
  const bytes: number[] = [];
  for await (const chunk of terminal) {
    for (const byte of chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk))) {
      if (edit(bytes, byte) === "done") {
        return Buffer.from(bytes).toString();
      }
    }
  }
  return Buffer.from(bytes).toString();
}

/** What the terminal does itself when it is not in raw mode. */
function edit(bytes: number[], byte: number): "done" | undefined {
  switch (byte) {
    case RETURN:
    case LINE_FEED:
    case CTRL_D:
      return "done";
    case CTRL_C:
      // As the terminal would: whoever listens to it aborts our signal.
      process.kill(process.pid, "SIGINT");
      return undefined;
    case CTRL_U:
      bytes.length = 0;
      return undefined;
    case BACKSPACE:
    case DELETE:
      removeCharacter(bytes);
      return undefined;
    default:
      if (bytes.length < MAX_BYTES) {
        bytes.push(byte);
      }
      return undefined;
  }
}

// UTF-8: the bytes that continue a character go with it.
function removeCharacter(bytes: number[]): void {
  let last = bytes.pop();
  while (last !== undefined && last >= 0x80 && last < 0xc0) {
    last = bytes.pop();
  }
}
