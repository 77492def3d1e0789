import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "../support/temp-dir.ts";
import { openDirectly } from "./opened-snapshotter.ts";

/** Lets a process work until it has said `lines` lines, and kills it; what it said. */
async function workUntilKilled(root: string, round: number, lines: number): Promise<string[]> {
  const main = join(import.meta.dir, "crash-main.ts");
  const child = spawn(process.execPath, [main, root, String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8");
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.split("\n").length > lines) child.kill("SIGKILL");
  }
  // Of the last line there may be a part.
  return text.split("\n").slice(0, -1);
}

test("Snapshotter has, after a kill, whatever it said it had, and its directories", async () => {
  await using dir = await tempDir();
  const said: string[] = [];
  for (let round = 0; round < 6; round += 1) {
    said.push(...(await workUntilKilled(dir.path, round, 5 + round * 7)));
    await using opened = await openDirectly({ dir });
    const infos = await opened.calls.list();
    const names = new Set(infos.map((info) => info.name));
    expect(said.filter((name) => !names.has(name))).toEqual([]);
    for (const { name, kind } of infos) if (kind !== "committed") await opened.calls.remove(name);
    await opened.calls.cleanup();
    const local = [...names].filter((name) => name.startsWith("local "));
    const entries = await readdir(dir.join("snapshots"));
    expect(entries.length).toBe(local.length);
    for (const entry of entries) {
      expect((await readdir(dir.join("snapshots", entry))).toSorted()).toEqual(["fs", "work"]);
    }
  }
});
