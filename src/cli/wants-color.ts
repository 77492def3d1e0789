import type { CliIo } from "./cli-io.ts";

/** Whether what goes to this stream is styled: only on a terminal that can. https://no-color.org */
export function wantsColor(
  { env }: Pick<CliIo, "env">,
  stream: { readonly isTty: boolean },
): boolean {
  return stream.isTty && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}
