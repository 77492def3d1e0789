import type { WaitOptions } from "../../async/wait-options.ts";
import type { Plugin } from "../../containerd/api/introspection.ts";
import { ContainerdClient } from "../../containerd/containerd-client.ts";
import { isKind } from "../../errors.ts";
import { type Check, fail, ok, warn } from "./check.ts";

const TIMEOUT_MS = 5000;

export interface ContainerdCheckOptions extends WaitOptions {
  /** Its socket. */
  readonly address: string;
  /** What it calls us. */
  readonly name: string;
}

/** Whether containerd answers, which it is, and whether it knows us. */
export async function containerdChecks({
  address,
  name,
  signal,
}: ContainerdCheckOptions): Promise<readonly Check[]> {
  await using client = new ContainerdClient(address);
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const bounded = signal === undefined ? late : AbortSignal.any([signal, late]);
  try {
    const [{ version }, plugins] = await Promise.all([
      client.version({ signal: bounded }),
      client.plugins(["type==io.containerd.snapshotter.v1"], { signal: bounded }),
    ]);
    return [versionCheck(version), pluginCheck(name, { plugins, version })];
  } catch (error) {
    signal?.throwIfAborted();
    if (!late.aborted && !isKind(error, "unavailable", "permission-denied")) throw error;
    return [unreachable(address, error, late.aborted)];
  }
}

function unreachable(address: string, error: unknown, isLate: boolean): Check {
  const text = error instanceof Error ? error.message : String(error);
  if (isLate) {
    return fail(
      "containerd",
      `it does not answer at ${address}`,
      "Look at its log: journalctl -u containerd",
    );
  }
  return /\b(?:EACCES|EPERM)\b/.test(text)
    ? fail("containerd", `${address} cannot be opened`, "Run it as root")
    : fail(
        "containerd",
        `nobody answers at ${address}`,
        "Start it: systemctl start containerd; or say with --containerd-address where it listens",
      );
}

/** `version` is as containerd says it: `1.6.20~ds1` or `v2.1.0`. */
export function versionCheck(version: string): Check {
  const [, major = 0, minor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const isKnown = major >= 2 || (major === 1 && minor >= 6);
  return isKnown
    ? ok("containerd", version)
    : warn("containerd", version, "Upgrade it: sociable is tried with 1.6 and later");
}

export function pluginCheck(
  name: string,
  { plugins, version }: { readonly plugins: readonly Plugin[]; readonly version: string },
): Check {
  const check = "containerd plugin";
  const plugin = plugins.find(({ id }) => id === name);
  if (plugin === undefined) {
    return fail(
      check,
      `containerd has no snapshotter "${name}"`,
      "As root: sociable install --restart-containerd",
    );
  }
  if (plugin.initError !== undefined) {
    return fail(
      check,
      `"${name}": ${plugin.initError.message}`,
      "Is the service running? systemctl status sociable",
    );
  }
  const [, major = 0, minor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const isNeeded = major > 2 || (major === 2 && minor >= 1);
  return isNeeded && plugin.exports["enable_remote_snapshot_annotations"] !== "true"
    ? warn(
        check,
        `"${name}" is registered, without enable_remote_snapshot_annotations`,
        "From 2.1 on containerd needs it among the plugin's exports: sociable install writes it",
      )
    : ok(check, `"${name}" is registered`);
}
