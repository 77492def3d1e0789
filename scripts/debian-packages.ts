import { run } from "./project.ts";

/** A Debian package that a script or test uses, and a program by which its presence is seen. */
export interface DebianPackage {
  readonly name: string;
  readonly program: string;
}

/** What the end-to-end tests use beside Bun: other people's tools, to hold ours against. */
export const TEST_PACKAGES: readonly DebianPackage[] = [
  { name: "docker-registry", program: "docker-registry" },
  { name: "skopeo", program: "skopeo" },
  { name: "umoci", program: "umoci" },
  { name: "nginx-light", program: "nginx" },
  { name: "openssl", program: "openssl" },
  { name: "libdeflate-tools", program: "libdeflate-gzip" },
  { name: "pigz", program: "pigz" },
  { name: "zstd", program: "zstd" },
  { name: "fuse3", program: "fusermount3" },
  { name: "containerd", program: "containerd" },
  { name: "runc", program: "runc" },
  { name: "shellcheck", program: "shellcheck" },
  { name: "busybox", program: "busybox" },
  { name: "zsh", program: "zsh" },
  { name: "fish", program: "fish" },
  { name: "debootstrap", program: "debootstrap" },
];

/** Those of `packages` whose program is not on the PATH. */
export function missingPackages(packages: readonly DebianPackage[]): readonly DebianPackage[] {
  return packages.filter(({ program }) => Bun.which(program) === null);
}

/**
 * Installs what is missing of `packages` where that is possible: as root, where there is apt-get.
 * Resolves to what is still missing, after having said on standard error how to get it.
 */
export async function ensurePackages(
  packages: readonly DebianPackage[],
): Promise<readonly DebianPackage[]> {
  const missing = missingPackages(packages);
  if (missing.length === 0) return [];
  const names = missing.map(({ name }) => name);
  const canInstall = process.geteuid?.() === 0 && Bun.which("apt-get") !== null;
  if (canInstall) {
    console.error(`Installing Debian packages: ${names.join(" ")}`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await run(["apt-get", "update", "-qq"], { env });
    // One at a time, so that one that this release lacks does not keep the others away.
    for (const name of names) {
      await run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", name], { env });
    }
  }
  const still = missingPackages(missing);
  if (still.length > 0) {
    const list = still.map(({ name }) => name).join(" ");
    console.error(`Not installed: ${list}. As root on Debian: apt-get install -y ${list}`);
  }
  return still;
}
