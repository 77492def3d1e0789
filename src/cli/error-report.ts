import { SociError } from "../errors.ts";
import { Interrupt } from "./cli-io.ts";
import { primaryErrorOf } from "./primary-error.ts";
import { safeText } from "./safe-text.ts";

/** An error in the form in which the user sees it; nothing in it can drive a terminal. */
export interface ErrorReport {
  readonly message: string;
  /** From the nearest cause to the first; those that only repeat what is said already are left out. */
  readonly causes: readonly string[];
  readonly hint: string | undefined;
  /** Where it was thrown; only of errors that are bugs. */
  readonly stack: string | undefined;
}

// Deep enough for every layer to have wrapped the error twice.
const MAX_CAUSES = 32;

/** The only place where an error becomes text for the user. */
export function reportOf(error: unknown): ErrorReport {
  const chain = chainOf(error);
  const [first = "unknown error", ...rest] = chain.map(messageOf);
  const primary = primaryErrorOf(error);
  const isBug = !isExpected(primary);
  const message = isBug ? `Internal error, please report it: ${first}` : first;
  const causes: string[] = [];
  for (const cause of rest) {
    if (cause !== "" && ![message, ...causes].some((said) => said.includes(cause))) {
      causes.push(cause);
    }
  }
  const hint = chain.find((link) => link instanceof SociError && link.hint !== undefined);
  return {
    message,
    causes,
    hint: hint instanceof SociError && hint.hint !== undefined ? safeText(hint.hint) : undefined,
    stack: isBug && primary instanceof Error ? primary.stack : undefined,
  };
}

/** The report as lines for standard error. */
export function formatReport(
  report: ErrorReport,
  { program, debug }: { readonly program: string; readonly debug: boolean },
): string {
  const lines = [`${program}: ${report.message}`, ...report.causes.map((cause) => `  ${cause}`)];
  if (report.hint !== undefined) lines.push(`hint: ${report.hint}`);
  if (report.stack !== undefined) {
    if (debug) lines.push(...report.stack.split("\n").map(safeText));
    else lines.push("hint: --log-level debug shows where it happened");
  }
  return `${lines.join("\n")}\n`;
}

function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  const pending: unknown[] = [error];
  while (pending.length > 0 && chain.length < MAX_CAUSES) {
    const link = pending.shift();
    if (link === undefined || chain.includes(link)) continue;
    if (link instanceof SuppressedError) {
      // What came first, and then what came of it.
      pending.unshift(link.suppressed);
      pending.push(link.error);
      continue;
    }
    chain.push(link);
    if (link instanceof AggregateError) pending.push(...link.errors);
    if (link instanceof Error) pending.push(link.cause);
  }
  return chain;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return safeText(String(error));
  const message = error.message === "" ? error.name : error.message;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return safeText(code === "" || message.includes(code) ? message : `${message} (${code})`);
}

/** Errors that tell about the input, the machine or the user's wish, not about a bug of ours. */
function isExpected(error: unknown): boolean {
  if (error instanceof SociError) return error.kind !== "internal";
  if (error instanceof Interrupt) return true;
  if (!(error instanceof Error)) return false;
  // AbortSignal.timeout(), and what the system said to a call that no layer wrapped.
  return error.name === "TimeoutError" || ("syscall" in error && "code" in error);
}
