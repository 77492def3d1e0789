// Sets everything up and runs every check and test. The last line of output is
// "N passed, N failed, N skipped"; the exit code is 0 only when something passed and nothing failed.
// Usage: npm test [-- PATTERN ...]   (patterns as of "bun test": only these files, no checks)
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePackages, TEST_PACKAGES } from "./debian-packages.ts";
import { addCounts, countTests, type TestCounts } from "./junit-counts.ts";
import { buildWasm, PROJECT_ROOT, projectPath, run } from "./project.ts";
import { tidySharedMemory } from "./tidy-shared-memory.ts";

const patterns = process.argv.slice(2);
const counts = await runAll();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);

async function runAll(): Promise<TestCounts> {
  const missing = await ensurePackages(TEST_PACKAGES);
  // A continuous integration run that quietly skips is worth nothing.
  if (missing.length > 0 && process.env["CI"] === "true") return failure("set-up");
  if ((await buildWasm()) !== 0) return failure("WebAssembly build");
  if ((await run([process.execPath, projectPath("scripts/build.ts")])) !== 0) {
    return failure("build");
  }
  if (patterns.length > 0) return await runTests(patterns);
  const checks = await run([process.execPath, projectPath("scripts/check.ts"), "--no-arch"]);
  return addCounts(
    checks === 0 ? { passed: 0, failed: 0, skipped: 0 } : failure("check"),
    await runTests(["./test"]),
  );
}

function failure(what: string): TestCounts {
  console.error(`FAILED: ${what}`);
  return { passed: 0, failed: 1, skipped: 0 };
}

async function runTests(selection: readonly string[]): Promise<TestCounts> {
  const directory = await mkdtemp(join(tmpdir(), "sociable-test-"));
  try {
    const report = join(directory, "junit.xml");
    const code = await run([
      process.execPath,
      "test",
      "--isolate",
      // Generous: a busy machine is no failure, and a test that hangs is seen anyway.
      "--timeout=60000",
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      ...selection,
    ]);
    // Where a test ends the process, there is no report: every file counts as failed.
    const xml = await readFile(report, "utf8").catch(() => "");
    const files = patterns.length > 0 ? [] : await testFiles();
    return countTests(xml, { files, exitCode: code });
  } finally {
    await rm(directory, { recursive: true, force: true });
    tidySharedMemory();
  }
}

async function testFiles(): Promise<string[]> {
  return await Array.fromAsync(new Bun.Glob("test/**/*.test.ts").scan(PROJECT_ROOT));
}
