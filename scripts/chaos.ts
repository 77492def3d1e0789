// Kills the daemon again and again under a container and readers that compare every byte; with --detached
// the server of a mount by hand.
// Usage: bun scripts/chaos.ts [--kills 200] [--seed N] [--large BYTES] [--no-resend] [--detached]
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { mountSample } from "../test/support/mount-sample.ts";
import { buildSociable, runProgram } from "../test/support/sociable-binary.ts";
import { LoopReader } from "./chaos-reader.ts";
import { daemonVictim, mountVictim } from "./chaos-victim.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    large: { type: "string", default: "20000000" },
    "no-resend": { type: "boolean", default: false },
    detached: { type: "boolean", default: false },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** As long as it all may take. */
const PATIENCE_MS = 6 * 3_600_000;

let state = seed >>> 0;
/** The same for the same seed. */
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return (state >>> 4) % limit;
}

print(`seed ${seed}, ${kills} kills${values["no-resend"] ? ", without FUSE_NOTIFY_RESEND" : ""}`);
await buildSociable();
const sample = await mountSample({ largeBytes: Number(values.large), smallFiles: 200 });
await using victim = await (values.detached ? mountVictim : daemonVictim)(sample, {
  env: values["no-resend"] ? { SOCIABLE_FUSE_NO_RESEND: "1" } : {},
  timeoutMs: PATIENCE_MS,
});
const { directory, reference } = victim;
const before = memory();

const compared = [
  ...[1, 2, 3].map((n) => victim.compare({ untilStopped: true, isDirect: true, seed: seed + n })),
  ...[4, 5].map((n) => victim.compare({ untilStopped: true, seed: seed + n })),
];
const looped = await Promise.all([
  loop(
    "find",
    (at) => `cd ${at} && find usr/share/small -type f -printf '%p %s\\n' | LC_ALL=C sort`,
  ),
  loop(
    "tar",
    (at) =>
      `tar --sort=name --mtime=@0 --owner=0 --group=0 --mode=644 -C ${at} -cf - usr/share/small usr/lib/large | sha256sum`,
  ),
  program(),
]);

let restarts = 0;
const begun = performance.now();
for (let kill = 1; kill <= kills; kill++) {
  await Bun.sleep(victim.restMs + random(400));
  await victim.kill();
  const starting = victim.restart();
  if (random(4) === 0 && kill < kills) {
    // In the middle of the takeover.
    await Bun.sleep(random(250));
    await victim.kill();
    await starting.catch(() => undefined);
    await victim.restart();
    kill += 1;
  } else {
    await starting;
  }
  restarts += 1;
  if (restarts % 25 === 0)
    print(`${kill} kills, ${Math.round((performance.now() - begun) / 1000)} s`);
}
await Bun.sleep(500);

const reports = await Promise.all(compared.map((reader) => reader.stop()));
const loops = await Promise.all(looped.map((reader) => reader.stop()));
const stalls = reports.flatMap(({ stallsMs }) => stallsMs).toSorted((a, b) => a - b);
const at = (part: number): number =>
  stalls[Math.min(stalls.length - 1, Math.floor(stalls.length * part))] ?? 0;
const failures = reports.flatMap(({ errors, wrong }) => [...errors, ...wrong]);
for (const { title, runs, faults } of loops) {
  print(`${title}: ${runs} runs, ${faults.length} faults`);
  failures.push(...faults.map((fault) => `${title}: ${fault}`));
}
print(`reads: ${reports.reduce((sum, { reads }) => sum + reads, 0)}, stalls: ${stalls.length}`);
print(`stall p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${stalls.at(-1) ?? 0} ms`);
print(`in D state: ${sleepers()}`);
print(`before: ${before}`);
print(`after:  ${memory()}`);
print(`failed or wrong: ${failures.length}`);
for (const failure of failures.slice(0, 20)) print(`  ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

async function loop(title: string, script: (directory: string) => string): Promise<LoopReader> {
  const { stdout } = await runProgram(["sh", "-c", script(reference)]);
  const expected = Buffer.from(stdout).toString();
  return new LoopReader({ title, command: ["sh", "-c", script(directory)], expected });
}

/** A program of the image, with its libraries, which are mapped. */
async function program(): Promise<LoopReader> {
  const files = ["/usr/share/small/file-7", "/usr/lib/large"];
  const { stdout } = await runProgram([
    "sh",
    "-c",
    `cd ${reference} && sha256sum ${files.map((file) => file.slice(1)).join(" ")}`,
  ]);
  const expected = Buffer.from(stdout).toString().replaceAll("  usr", "  /usr");
  return new LoopReader({
    title: "exec",
    command: ["chroot", directory, "/bin/sha256sum", ...files],
    expected,
  });
}

function memory(): string {
  return [
    ["server", victim.serverPid],
    ["keeper", victim.keeperPid],
  ]
    .map(([name, pid]) => {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const rss = /^VmRSS:\s+(\d+)/m.exec(status)?.[1];
      const anon = /^RssAnon:\s+(\d+)/m.exec(status)?.[1];
      return `${name} RSS ${rss} KiB (anonymous ${anon}), ${readdirSync(`/proc/${pid}/fd`).length} descriptors`;
    })
    .join("; ");
}

/** Processes in an uninterruptible sleep. */
function sleepers(): number {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.startsWith("D") === true;
    } catch {
      return false;
    }
  }).length;
}
