/** What `work` throws. @throws when it throws nothing */
export function failureOf(work: () => unknown): unknown {
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    return error;
  }
  throw new Error(`nothing was thrown, but ${String(result)} returned`);
}

/** What a promise rejects with. @throws when it does not */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown;
  try {
    result = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`it resolved to ${String(result)}`);
}

/** The messages and hints of an error and of all its causes: everything that a user may be shown. */
export function messagesOf(error: unknown): string {
  const texts: string[] = [];
  for (let link = error; link instanceof Error; link = link.cause) {
    texts.push(link.message, "hint" in link ? String(link.hint) : "");
  }
  return texts.join("\n");
}
