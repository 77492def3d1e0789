// Shows what sociable is for: three files read out of an image in a registry, by full download, lazily,
// through a mount and in a container, compared. Everything it makes is gone at the end, mounts included.
// Usage: npm run demo [-- IMAGE]   (an image as sociable names them; without it, one is made)
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatReport, reportOf } from "../src/cli/error-report.ts";
import { demonstrate } from "./demo-steps.ts";

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

const [image, ...surplus] = process.argv.slice(2);
if (surplus.length > 0 || image?.startsWith("-") === true) {
  console.error("Usage: npm run demo [-- IMAGE]");
  process.exit(2);
}

const interrupted = new AbortController();
let exitCode = 0;
for (const [name, number] of Object.entries(SIGNALS)) {
  process.on(name, () => {
    exitCode = 128 + number;
    interrupted.abort(new DOMException(`interrupted by ${name}`, "AbortError"));
  });
}

try {
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "sociable-demo-"));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  await demonstrate({ image, directory, cleanup, signal: interrupted.signal });
} catch (error) {
  if (interrupted.signal.aborted) {
    console.error("\nInterrupted; everything the demo made has been removed");
  } else {
    exitCode = 1;
    console.error(`\n${formatReport(reportOf(error), { program: "demo", debug: false })}`);
  }
}
process.exit(exitCode);
