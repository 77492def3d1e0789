import { readFileSync } from "node:fs";
import type { Interrupt } from "./cli-io.ts";

type SignalName = Interrupt["signalName"];

/** proc_pid_status(5): a mask in hex, of which the lowest bit is SIGHUP. */
const IGNORED = /^SigIgn:\s*([0-9a-f]+)$/m;

/**
 * Signals that end a command in order: those of Ctrl-C and kill(1), and that of a terminal which is
 * closed, so that no dead mount is left behind; not where nohup(1) has had that one ignored.
 */
export function caughtSignals(
  status: string = readFileSync("/proc/self/status", "latin1"),
): readonly SignalName[] {
  const mask = BigInt(`0x${IGNORED.exec(status)?.[1] ?? "0"}`);
  return (mask & 1n) === 1n ? ["SIGINT", "SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"];
}
