import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { FUSE_HAS_RESEND } from "../../src/fuse/abi.ts";
import { negotiateFuse } from "../../src/fuse/device.ts";
import { hasFeature } from "../../src/fuse/init.ts";
import { sysClose } from "../../src/sys/libc.ts";
import { mountFuse } from "../../src/sys/mount-fuse.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { setReadahead } from "../../src/sys/readahead.ts";
import { unmountFuse } from "../../src/sys/unmount-fuse.ts";
import { describeWithFuse } from "../support/describe-with-fuse.ts";
import { dropMount, FuseServer, runClient, startClient } from "../support/fuse-server.ts";
import { patternOf, SAMPLE_BIG_BYTES, SAMPLE_PATTERN_BYTES } from "../support/fuse-trees.ts";
import { copyRepeated } from "../support/memory-file-system.ts";
import { tempDir } from "../support/temp-dir.ts";

/** ECONNABORTED; or ENOTCONN, when the kernel has tried again after a readahead. */
const ABORTED = /connection abort|not connected/i;

/** The SHA-256 of the sample's large file. */
function bigDigest(): string {
  const content = patternOf(SAMPLE_PATTERN_BYTES);
  const bytes = new Uint8Array(1 << 20);
  const hash = createHash("sha256");
  for (let start = 0; start < SAMPLE_BIG_BYTES; start += bytes.length) {
    const count = Math.min(bytes.length, SAMPLE_BIG_BYTES - start);
    copyRepeated(content, start, { bytes, start: 0, count });
    hash.update(bytes.subarray(0, count));
  }
  return hash.digest("hex");
}

describeWithFuse("a mount", () => {
  test.each([{ threads: 1 }, { threads: 3 }])(
    "shows its files to other programs, served by $threads threads",
    async ({ threads }) => {
      await using server = await FuseServer.start({ tree: "sample", threads });
      const { directory } = server;
      const run = async (...command: string[]): Promise<string> => {
        const { stdout, stderr, code } = await runClient(command);
        if (code !== 0) throw new Error(`${command.join(" ")}: ${code}: ${stderr}`);
        return stdout;
      };
      const stat = (path: string, format: string): Promise<string> =>
        run("stat", "-c", format, `${directory}/${path}`);

      expect(await run("cat", `${directory}/hello`)).toBe("hello\n");
      expect(await run("cat", `${directory}/link`)).toBe("shared");
      expect(await run("cat", `${directory}/empty`)).toBe("");
      expect(await run("find", directory, "-mindepth", "1", "-maxdepth", "1", "-printf", "x")).toBe(
        "x".repeat(10),
      );
      expect(await stat("owned", "%a %u %g %s %Y %F")).toBe(
        "4755 4000000000 1234 1 4102444800 regular file\n",
      );
      expect(await stat("hello", "%y")).toBe("1969-12-31 00:00:00.123456789 +0000\n");
      expect(await stat("directory", "%a %F")).toBe("1777 directory\n");
      expect(await stat("directory/two", "%h %i")).toBe(await stat("directory/inner/one", "%h %i"));
      expect(await run("readlink", `${directory}/link`)).toBe("directory/inner/one\n");
      const many = await run("find", `${directory}/many`, "-type", "f");
      expect(new Set(many.trim().split("\n")).size).toBe(2000);
      expect(await run("sha256sum", `${directory}/big`)).toStartWith(bigDigest());

      await unmountFuse(directory);
      expect((await server.end()).ended).toEqual(new Array(threads).fill("unmounted"));
      expect(await findMount(directory)).toBeUndefined();
    },
  );

  test("refuses changes, and says what is absent", async () => {
    await using server = await FuseServer.start({ tree: "sample" });
    const { directory } = server;
    const write = await runClient(["touch", `${directory}/new`]);
    expect(write.stderr).toContain("Read-only file system");
    for (let i = 0; i < 2; i++) {
      const { code, stderr } = await runClient(["cat", `${directory}/absent`]);
      expect({ code, isAbsent: stderr.includes("No such file") }).toEqual({
        code: 1,
        isAbsent: true,
      });
    }
  });

  test("shows extended attributes", async () => {
    await using server = await FuseServer.start({ tree: "sample" });
    const script =
      "import os,sys; p=sys.argv[1]; print(sorted(os.listxattr(p)), os.getxattr(p,'user.colour'), os.getxattr(p,'user.empty'))";
    const { stdout, stderr } = await runClient([
      "python3",
      "-c",
      script,
      `${server.directory}/owned`,
    ]);
    expect({ stdout, stderr }).toEqual({
      stdout: "['user.colour', 'user.empty'] b'blue' b''\n",
      stderr: "",
    });
  });

  test("is read-only, without set-user-ID bits and devices, under the image's name", async () => {
    await using server = await FuseServer.start({ tree: "sample" });
    const mount = await findMount(server.directory);
    expect(mount).toMatchObject({ type: "fuse.sociable", source: "sample, image\\x" });
    expect(mount?.options.split(",")).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev"]));
    expect(mount?.superOptions).toContain("default_permissions");
    expect(mount?.superOptions).not.toContain("allow_other");
    expect(await setReadahead(mount?.device ?? "", 4 << 20)).toBe(true);
    expect(await Bun.file(`/sys/class/bdi/${mount?.device}/read_ahead_kb`).text()).toBe("4096\n");
  });

  test("is left to whoever takes it next when its threads are woken", async () => {
    await using server = await FuseServer.start({ tree: "sample", threads: 2 });
    await server.stop();
    expect((await server.end()).ended).toEqual(["woken", "woken"]);
  });

  test("ends for those who wait when it is unmounted by force", async () => {
    await using server = await FuseServer.start({ tree: "waiting", threads: 2 });
    const { directory } = server;
    await using reader = startClient(["cat", `${directory}/wanted`]);
    await hasOpened(reader.pid, `${directory}/wanted`);
    await expect(unmountFuse(directory)).rejects.toMatchObject({ kind: "failed-precondition" });
    await unmountFuse(directory, { force: true });
    expect((await reader.result).stderr).toMatch(ABORTED);
    expect((await server.end()).ended).toEqual(["unmounted", "unmounted"]);
  });

  test("does not keep a reader that waits from being killed", async () => {
    await using server = await FuseServer.start({ tree: "waiting" });
    const path = `${server.directory}/wanted`;
    const reader = startClient(["cat", path]);
    await hasOpened(reader.pid, path);
    await reader[Symbol.asyncDispose]();
    expect((await runClient(["cat", `${server.directory}/hello`])).stdout).toBe("hello\n");
  });

  test("tells the server that a reader gives up", async () => {
    await using server = await FuseServer.start({ tree: "waiting" });
    const path = `${server.directory}/wanted`;
    // Without the page cache, whose readers can be killed without a word to the server.
    await using reader = startClient(["dd", "iflag=direct", `if=${path}`]);
    await hasOpened(reader.pid, path);
    reader.interrupt();
    const { code, signal } = await reader.result;
    expect({ code, signal }).toEqual({ code: null, signal: "SIGTERM" });
  });

  test("can be unmounted and made again after its server was killed", async () => {
    await using dir = await tempDir();
    const directory = dir.join("mount");
    await Bun.$`mkdir ${directory}`;
    try {
      const options = { directory, source: "x", maxRead: 1 << 20, allowOther: false };
      sysClose(await mountFuse(options));
      await unmountFuse(directory);
      const fd = await mountFuse(options);
      expect(negotiateFuse(fd).minor).toBeGreaterThanOrEqual(31);
      sysClose(fd);
    } finally {
      await dropMount(directory);
    }
  });

  test("goes on under another server: readers do not notice", async () => {
    await using dir = await tempDir();
    const directory = dir.join("mount");
    await Bun.$`mkdir ${directory}`;
    const fd = await mountFuse({ directory, source: "x", maxRead: 1 << 20, allowOther: false });
    try {
      const negotiated = negotiateFuse(fd);
      expect(hasFeature(negotiated, FUSE_HAS_RESEND)).toBe(true);
      await using first = await FuseServer.takeOver(fd, {
        directory,
        tree: "waiting",
        takeOver: negotiated,
      });
      await using reader = startClient(["cat", `${directory}/wanted`]);
      await hasOpened(reader.pid, `${directory}/wanted`);
      first.process.kill("SIGKILL");
      await first.process.exited;
      await using second = await FuseServer.takeOver(fd, {
        directory,
        tree: "sample",
        takeOver: negotiated,
      });
      expect(await reader.result).toMatchObject({ code: 0, stdout: "it came\n" });
      expect((await runClient(["cat", `${directory}/hello`])).stdout).toBe("hello\n");
      await unmountFuse(directory);
      expect((await second.end()).ended).toEqual(["unmounted"]);
    } finally {
      await dropMount(directory);
      sysClose(fd);
    }
  });
});

/** Waits until a process sleeps in a read of a file: its request is with the server then. */
async function hasOpened(pid: number, path: string): Promise<void> {
  for (;;) {
    const links = await runClient([
      "sh",
      "-c",
      `readlink /proc/${pid}/fd/* ; cat /proc/${pid}/wchan`,
    ]);
    if (links.stdout.includes(path) && /fuse|folio|wait|request/.test(links.stdout)) return;
    if (!existsSync(`/proc/${pid}`))
      throw new Error(`process ${pid} ended before it opened ${path}`);
    await Bun.sleep(5);
  }
}
