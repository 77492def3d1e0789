/** What was found of one thing that a host needs. */
export interface Check {
  /** In a word or two. */
  readonly name: string;
  /** `warn`: it works, but not as well as it could; `fail`: it does not work. */
  readonly status: "ok" | "warn" | "fail";
  /** What was found. */
  readonly detail: string;
  /** What to do about it, as a sentence or a command. */
  readonly hint?: string | undefined;
}

export function ok(name: string, detail: string): Check {
  return { name, status: "ok", detail };
}

export function warn(name: string, detail: string, hint?: string): Check {
  return { name, status: "warn", detail, hint };
}

export function fail(name: string, detail: string, hint?: string): Check {
  return { name, status: "fail", detail, hint };
}
