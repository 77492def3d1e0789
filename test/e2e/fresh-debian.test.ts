import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describeMounts } from "../support/describe-mounts.ts";
import { buildLayer } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { putServeImage } from "../support/serve-image.ts";
import { buildSociable, runProgram, SOCIABLE } from "../support/sociable-binary.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 600_000;
const VERSION = "0.0.1";
const CPU = process.arch === "arm64" ? "arm64" : "x64";

/** What is done there, as the documentation says it, but for systemd, which does not run there. */
const STEPS = `set -eu
curl -fsSL "$SOCIABLE_BASE_URL/install.sh" | sh
sociable install --no-start
containerd > /var/log/containerd.log 2>&1 &
sociable serve > /var/log/sociable.log 2>&1 &
tries=0
until [ -S /run/sociable/sociable.sock ] && ctr version > /dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { cat /var/log/*.log; exit 1; }
  sleep 0.1
done
sociable doctor "$IMAGE"
sociable pull "$IMAGE"
ctr run --rm --snapshotter sociable "$IMAGE" first /bin/cat /etc/greeting || { tail -n 40 /var/log/*.log; exit 1; }
`;

/** Makes the directory the root of a machine of its own mounts and processes, and runs a script in it. */
const ENTER = `set -eu
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir old
pivot_root . old
umount -l /old
exec sh /steps.sh
`;

/** Debian's packages, and nothing of this project. */
async function makeDebian(root: string): Promise<void> {
  const packages = "--include=containerd,runc,ca-certificates,curl";
  const { code, stdout } = await runProgram([
    "debootstrap",
    "--variant=minbase",
    packages,
    "bookworm",
    root,
  ]);
  if (code !== 0)
    throw new Error(`debootstrap failed: ${Buffer.from(stdout).toString().slice(-2000)}`);
}

/** A release of the executable alone. */
async function makeRelease(dir: TempDir): Promise<string> {
  const place = dir.join("release");
  await mkdir(join(place, `v${VERSION}`), { recursive: true });
  const name = `sociable-linux-${CPU}.gz`;
  const packed = gzipSync(await readFile(SOCIABLE), { level: 1 });
  const digest = createHash("sha256").update(packed).digest("hex");
  await writeFile(join(place, `v${VERSION}`, name), packed);
  await writeFile(join(place, `v${VERSION}/checksums.txt`), `${digest}  ${name}\n`);
  await writeFile(join(place, "latest"), `${VERSION}\n`);
  await copyFile(join(import.meta.dirname, "../../scripts/install.sh"), join(place, "install.sh"));
  return place;
}

function serveFiles(directory: string): Bun.Server<undefined> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => new Response(Bun.file(join(directory, new URL(url).pathname))),
  });
}

describeMounts(["debootstrap", "unshare", "pivot_root"], "a fresh Debian", () => {
  test(
    "goes from the install script to a container that starts lazily",
    async () => {
      await buildSociable();
      await using dir = await tempDir();
      const debian = dir.join("debian");
      await makeDebian(debian);
      await using registry = TestRegistry.start();
      const greeting = await buildLayer({
        entries: [{ name: "etc/greeting", content: "hello from afar\n" }],
      });
      await putServeImage(registry, {
        repository: "app",
        layers: [await runnableLayer(), greeting],
      });
      await using server = serveFiles(await makeRelease(dir));
      await writeFile(join(debian, "steps.sh"), STEPS);
      const enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER];
      const { code, stdout, stderr } = await runProgram([...enter, "sh", debian], {
        env: {
          SOCIABLE_BASE_URL: `http://127.0.0.1:${server.port}`,
          IMAGE: `${registry.host}/app:latest`,
          PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          HOME: "/root",
          TMPDIR: "/tmp",
        },
      });
      const said = Buffer.from(stdout).toString();
      expect({ code, said, stderr: code === 0 ? "" : stderr }).toMatchObject({
        code: 0,
        stderr: "",
      });
      expect(said).toContain("\nok    containerd plugin");
      expect(said.match(/^layer sha256:\w+ lazily$/gm)).toHaveLength(2);
      expect(said).toEndWith("\nhello from afar\n");
    },
    PATIENCE_MS,
  );
});
