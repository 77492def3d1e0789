import { resolve } from "node:path";
import { endStaleMounts } from "../../daemon/end-stale-mounts.ts";
import { isKind, SociError } from "../../errors.ts";
import { readManifest } from "../../install/apply-install.ts";
import { HostRoot } from "../../install/host-root.ts";
import { uninstallDiff } from "../../install/install-diff.ts";
import { mountUsers } from "../../install/mount-users.ts";
import { Systemd } from "../../install/systemd.ts";
import { applyUninstall, planUninstall } from "../../install/uninstall.ts";
import { KeeperClient } from "../../keeper/keeper-client.ts";
import { keeperPaths } from "../../keeper/keeper-paths.ts";
import type { Logger } from "../../observability/log.ts";
import { listMounts } from "../../sys/mountinfo.ts";
import { defineCommand } from "../command.ts";
import { readConfigFile } from "../config-file.ts";
import { writeJson } from "../output.ts";
import { safeText } from "../safe-text.ts";
import { INSTALL_FLAGS, requireRoot } from "./install-flags.ts";

const UNITS = ["sociable.socket", "sociable.service"];

export const uninstallCommand = defineCommand({
  name: "uninstall",
  summary: "Take back what `sociable install` has done to this host",
  description:
    "Stops the service and makes each file what it was before: what was written is removed, what was changed gets its old bytes again, or, where somebody has changed it since, loses our lines and nothing else. The state directory stays; it can be removed afterwards.",
  examples: [
    { command: "sociable uninstall --dry-run", explanation: "Show what would change, as a diff" },
    {
      command: "sociable uninstall",
      explanation: "Stop the service and take everything back",
    },
  ],
  args: [],
  flags: {
    force: {
      type: "boolean",
      description: "Also while containers run on what it shows: their reads will fail",
    },
    ...INSTALL_FLAGS,
  },
  async run({ flags, io, log }) {
    const root = new HostRoot(resolve(io.cwd, flags["root-dir"]));
    if (!flags["dry-run"]) requireRoot(io, root);
    const manifest = readManifest(root);
    const plan = await planUninstall(manifest, root);
    if (flags["dry-run"]) {
      await io.stdout.write(uninstallDiff(plan.removals));
    } else {
      if (root.isOwn) {
        const { config } = await readConfigFile({ path: undefined, personality: "sociable", io });
        if (!flags.force) await refuseWhileUsed(config.root);
        if (Systemd.isRunning() && manifest.files.length > 0) {
          await new Systemd().disable(UNITS);
          await endMounts(config.root, log);
        }
      }
      applyUninstall(plan, { manifest, root });
      if (root.isOwn && Systemd.isRunning()) await new Systemd().reload();
    }
    const isContainerdChanged = plan.removals.some(({ path }) =>
      path.startsWith("/etc/containerd/"),
    );
    const next = isContainerdChanged ? ["systemctl restart containerd"] : [];
    const changes = plan.removals.map(({ path, kind }) => ({ path, kind }));
    const { kept } = plan;
    if (flags.json && !flags["dry-run"]) {
      await writeJson(io.stdout, { changes, kept, next, applied: true });
    }
    if (flags.json) return;
    const lines = [
      ...plan.removals.map(
        ({ path, kind }) => `${kind === "remove" ? "removed" : "restored"} ${path}`,
      ),
      ...(changes.length === 0 ? ["Nothing is installed here"] : []),
      ...kept.map(({ path, reason }) => `kept ${path}: it ${reason}`),
      ...(next.length > 0 ? ["Now run:", ...next.map((step) => `  ${step}`)] : []),
    ];
    const text = lines.map((line) => `${safeText(line)}\n`).join("");
    if (!flags["dry-run"]) await io.stdout.write(text);
  },
});

async function refuseWhileUsed(stateRoot: string): Promise<void> {
  const [first, ...others] = mountUsers(await listMounts(), stateRoot);
  if (first === undefined) return;
  throw new SociError(
    "failed-precondition",
    `Cannot uninstall: containers run on what it shows, at "${first}" and ${others.length} more`,
    { hint: "Stop them first, or give --force" },
  );
}

/** The service leaves its mounts to the keeper, for a service that would come after it. */
async function endMounts(stateRoot: string, log: Logger): Promise<void> {
  try {
    await new KeeperClient(keeperPaths(stateRoot).socket).abort();
  } catch (error) {
    if (!isKind(error, "not-found")) throw error;
  }
  for (const { mountPoint } of await listMounts()) {
    if (mountPoint.startsWith(`${stateRoot}/`)) await endStaleMounts(mountPoint, log);
  }
}
