import { readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { beforeAll, expect, test } from "bun:test";
import { SCHEMA_VERSION } from "../../src/snapshotter/metastore-schema.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT } from "../support/mount-stage.ts";
import { NO_FILL } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { TakeoverHost } from "../support/takeover-host.ts";

const PATIENCE_MS = 180_000;
const DISK_BYTES = 64 << 20;
const SMALL_FILE = "/usr/share/small/file-3";
const sample = await mountSample({ largeBytes: 3_000_000 });
const TAKEN = "mount of the daemon before is served further";
const LOST = "container has lost its file system: it must be started again";

beforeAll(buildSociable, 120_000);

/** Files of a state root, as paths from it; nothing of its mounts is looked at. */
function stateFiles(root: string): readonly string[] {
  return ["cache", "mounts"].flatMap((below) =>
    readdirSync(join(root, below), { recursive: true, encoding: "utf8" })
      .map((path) => join(below, path))
      .filter((path) => statSync(join(root, path)).isFile()),
  );
}

function setVersion(path: string, version: number): void {
  using db = new Database(path);
  db.run(`PRAGMA user_version = ${version}`);
}

describeMounts(CONTAINERD_PROGRAMS, "a daemon that comes back to a full disk", () => {
  test(
    "serves its containers further, and says what it has no room for",
    async () => {
      await using stage = await TakeoverHost.start(sample, {
        config: `[cache]\nsize = "24mb"\n${NO_FILL}`,
        diskBytes: DISK_BYTES,
      });
      const { host } = stage;
      const { disk } = host;
      if (disk === undefined) throw new Error("no disk");
      await using cached = stage.compare({ untilStopped: true });
      await using direct = stage.compare({ untilStopped: true, isDirect: true, seed: 2 });
      disk.fill();
      await host.serve.kill();
      await host.serve.restart();
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      expect(host.serve.recordsOf("record of a mount cannot be written")).toHaveLength(1);
      await Bun.sleep(300);
      // Twice: the record is that of the daemon before the last.
      await host.serve.kill();
      await host.serve.restart();
      await Bun.sleep(300);
      await disk.empty();
      for (const reader of [cached, direct]) expect(await reader.stop()).toMatchObject(ALL_RIGHT);
      expect(host.serve.recordsOf(LOST)).toEqual([]);
      expect(await host.serve.stop()).toBe(0);
      await host.serve.restart();
      await using whole = stage.compare({ isDirect: true });
      expect(await whole.result).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );
});

describeMounts(CONTAINERD_PROGRAMS, "a daemon that comes back to damaged files", () => {
  // Of each file that has the name, the half is cut off, or all, or zeros are in its place.
  const hurts = [
    {
      how: "cut in half",
      hurt: (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2)),
    },
    { how: "empty", hurt: (path: string) => truncateSync(path, 0) },
    {
      how: "full of zeros",
      hurt: (path: string) => writeFileSync(path, new Uint8Array(statSync(path).size)),
    },
  ];
  const files = [
    { what: "records of mounts", name: /^mounts\/\d+-\d+\.json$/ },
    { what: "merged trees", name: /^cache\/trees\// },
    { what: "tables of layers", name: /^cache\/sha256\/[^/]+\/inodes$/ },
    { what: "rows of layers", name: /^cache\/sha256\/[^/]+\/entries$/ },
    { what: "geometry of layers", name: /^cache\/sha256\/[^/]+\/geometry$/ },
    { what: "maps of layers", name: /^cache\/sha256\/[^/]+\/map$/ },
    { what: "bytes of layers", name: /^cache\/sha256\/[^/]+\/data$/ },
  ];
  test.each(files.flatMap((file, at) => ({ ...file, ...hurts[at % hurts.length] })))(
    "($what are $how) gives no wrong byte, says what is lost, and runs the image anew",
    async ({ name, hurt }) => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host, paths } = stage;
      const { root } = host.serve;
      await using some = stage.compare({ paths: paths.slice(0, 5), isDirect: true });
      expect(await some.result).toMatchObject(ALL_RIGHT);
      await host.serve.kill();
      const hit = stateFiles(root).filter((path) => name.test(path));
      expect(hit).not.toEqual([]);
      for (const path of hit) hurt?.(join(root, path));
      await host.restartServe();
      const isLost = host.serve.recordsOf(LOST).length > 0;
      if (!isLost) expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      await using after = stage.compare({ isDirect: true }, { timeoutMs: 30_000 });
      // One that was lost has errors, at once; of none that goes on a call may fail.
      if (isLost) expect(messagesOf(await rejectionOf(after.result))).toContain("ENOTCONN");
      else expect(await after.result).toMatchObject(ALL_RIGHT);
      const hash = new Bun.CryptoHasher("sha256")
        .update(sample.files.get(SMALL_FILE.slice(1)) ?? "")
        .digest("hex");
      expect(await host.run(stage.app.name, ["/bin/sha256sum", SMALL_FILE])).toBe(
        `${hash}  ${SMALL_FILE}\n`,
      );
      expect(await host.differences(stage.app.name)).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "waits on while a program of another version refuses to start, and goes on behind it",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      await using direct = stage.compare({ untilStopped: true, isDirect: true });
      const keeper = stage.keeperPid;
      await host.serve.kill();
      const rows = join(host.serve.root, "snapshots.sqlite");
      setVersion(rows, SCHEMA_VERSION + 1);
      const refusal = await rejectionOf(host.serve.restart());
      expect(messagesOf(refusal)).toContain(`its version is ${SCHEMA_VERSION + 1}`);
      expect(stage.keeperPid).toBe(keeper);
      setVersion(rows, SCHEMA_VERSION);
      await host.serve.restart();
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      await Bun.sleep(200);
      expect(await direct.stop()).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );
});
