import { beforeAll, expect, test } from "bun:test";
import { chmod, chown, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeMounts } from "../support/describe-mounts.ts";
import { MountProcess } from "../support/mount-process.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { MountStage } from "../support/mount-stage.ts";
import { buildSociable, runProgram, SOCIABLE } from "../support/sociable-binary.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample();

async function openStage(): Promise<MountStage> {
  return await MountStage.open(sample);
}

/** The options of a mount, as the kernel shows them. */
async function shownOptions(directory: string): Promise<readonly string[]> {
  const mounts = (await readFile("/proc/mounts", "utf8")).split("\n");
  const line = mounts.find((text) => text.split(" ")[1] === directory);
  return (line?.split(" ")[3] ?? "").split(",");
}

describeMounts([], "sociable mount as root", () => {
  test.each([
    { title: "by default", flags: [], has: ["ro", "nosuid", "nodev", "allow_other"], not: [] },
    { title: "--suid", flags: ["--suid"], has: ["nodev"], not: ["nosuid"] },
    { title: "--dev", flags: ["--dev"], has: ["nosuid"], not: ["nodev"] },
    { title: "--private", flags: ["--private"], has: ["nosuid"], not: ["allow_other"] },
  ])("shows its options: $title", async ({ flags, has, not }) => {
    await using stage = await openStage();
    await using mount = await stage.mount({ flags });
    const options = await shownOptions(mount.directory);
    expect(options).toEqual(expect.arrayContaining([...has, "default_permissions"]));
    expect(options.filter((option) => not.some((name) => name === option))).toEqual([]);
    const seen = await runProgram(["stat", "-c", "%a", join(mount.directory, "usr/bin/su")]);
    expect(Buffer.from(seen.stdout).toString()).toBe("4755\n");
  });

  test("is for everybody, by the files' modes; --private for root alone", async () => {
    await using stage = await openStage();
    await chmod(stage.temp.path, 0o755);
    const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    for (const [flags, code] of [[[], 0] as const, [["--private"], 1] as const]) {
      await using mount = await stage.mount({ flags });
      const seen = await runProgram([...asNobody, "cat", join(mount.directory, LARGE)]);
      expect(seen.code).toBe(code);
    }
  });
});

const NOBODY = 65_534;
const AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] as const;

/** What an ordinary user has: directories and a program of their own, and a /dev/fuse that is open to all. */
async function openUser(stage: MountStage) {
  const { temp } = stage;
  await chmod(temp.path, 0o755);
  for (const name of ["mnt", "root", "bin", "dev"]) {
    await mkdir(temp.join(name));
    await chown(temp.join(name), NOBODY, NOBODY);
  }
  const program = temp.join("bin/sociable");
  await runProgram(["cp", "--reflink=auto", SOCIABLE, program]);
  const device = temp.join("dev/fuse");
  const setUp = `mknod ${device} c 10 229 && chmod 0666 ${device} && mount --bind ${device} /dev/fuse`;
  // A mount namespace of its own: nothing that is mounted in it outlives it.
  const holder = Bun.spawn(
    ["unshare", "--mount", "sh", "-c", `${setUp} && echo ready && exec sleep 60`],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const { value } = await holder.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe("ready\n");
  const inside = ["nsenter", "--mount", "--target", String(holder.pid), "--"];
  return {
    program,
    asRoot: inside,
    asUser: [...inside, ...AS_NOBODY],
    root: temp.join("root"),
    directory: temp.join("mnt"),
    [Symbol.asyncDispose]: async () => {
      holder.kill("SIGKILL");
      await holder.exited;
    },
  };
}

const USER_PROGRAMS = ["fusermount3", "setpriv", "unshare", "nsenter", "mknod"];

describeMounts(USER_PROGRAMS, "sociable mount as an ordinary user", () => {
  test("mounts by fusermount3, for that user alone, and unmounts", async () => {
    await using stage = await openStage();
    await using user = await openUser(stage);
    const { asUser, asRoot, program, root, directory } = user;
    await using mount = await MountProcess.start({
      ...{ root, directory, program, image: stage.name, prefix: asUser },
    });
    const shown = await runProgram([...asRoot, "grep", ` ${directory} `, "/proc/mounts"]);
    const options = Buffer.from(shown.stdout).toString().split(" ")[3]?.split(",");
    expect(options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev", "user_id=65534"]));
    expect(options).not.toContain("allow_other");
    for (const path of [LARGE, "usr/share/small/file-7"]) {
      const { stdout } = await runProgram([...asUser, "cat", join(directory, path)]);
      expect(Buffer.from(stdout).equals(sample.files.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
    // Others, root among them, are kept out.
    expect((await runProgram([...asRoot, "ls", directory])).code).not.toBe(0);
    const ended = await runProgram([...asUser, program, "unmount", "--root", root, directory]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(await mount.exited).toBe(0);
  });

  test("is unmounted by a signal too", async () => {
    await using stage = await openStage();
    await using user = await openUser(stage);
    const { asUser, asRoot, program, root, directory } = user;
    await using mount = await MountProcess.start({
      ...{ root, directory, program, image: stage.name, prefix: asUser },
    });
    mount.kill("SIGINT");
    expect(await mount.exited).toBe(130);
    expect(await runProgram([...asRoot, "mountpoint", "-q", directory])).toMatchObject({
      code: 32,
    });
  });

  test("refuses what only root can do, with the reason", async () => {
    await using stage = await openStage();
    await using user = await openUser(stage);
    for (const [flag, text] of [
      ["--suid", "only root can"],
      ["--dev", "only root can"],
      ["--allow-other", "user_allow_other"],
    ] as const) {
      const { code, stderr } = await runProgram([
        ...[...user.asUser, user.program, "mount", "--root", user.root, flag, stage.name],
        user.directory,
      ]);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) });
    }
  });
});
