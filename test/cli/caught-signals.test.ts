import { expect, test } from "bun:test";
import { caughtSignals } from "../../src/cli/caught-signals.ts";

test.each([
  { title: "nothing is ignored", status: "Name:\tx\nSigIgn:\t0000000000000000\nx", has: true },
  { title: "others are ignored", status: "SigIgn:\t0000000180001006\n", has: true },
  { title: "nohup has had it ignored", status: "SigIgn:\t0000000000001001\n", has: false },
  { title: "the kernel does not say", status: "", has: true },
])("caughtSignals() with SIGHUP is $has when $title", ({ status, has }) => {
  const signals = caughtSignals(status);
  expect(signals.includes("SIGHUP")).toBe(has);
  expect(signals).toContain("SIGINT");
  expect(signals).toContain("SIGTERM");
});
