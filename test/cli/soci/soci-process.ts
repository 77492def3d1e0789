import { runSoci } from "../../../src/cli/soci/run-soci.ts";
import type { CliResult, FakeIoOptions } from "../fake-io.ts";
import { FakeIo } from "../fake-io.ts";

/** Runs one command line of `soci` in this process. */
export async function runSociInProcess(
  argv: readonly string[],
  options: FakeIoOptions = {},
): Promise<CliResult> {
  const io = new FakeIo(options);
  const code = await runSoci(argv, { io, services: {} });
  return { code, stdout: io.stdoutText, stderr: io.stderrText };
}
