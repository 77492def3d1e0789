import { dirname, isAbsolute, resolve } from "node:path";
import { SYSTEM_STATE_ROOT } from "../../config/state-root.ts";
import { SociError } from "../../errors.ts";
import { applyInstall, readManifest } from "../../install/apply-install.ts";
import { containerdVersion } from "../../install/containerd-version.ts";
import { HostRoot } from "../../install/host-root.ts";
import { installDiff } from "../../install/install-diff.ts";
import { type InstallPlan, planInstall } from "../../install/plan-install.ts";
import { Systemd } from "../../install/systemd.ts";
import { hostPlatform } from "../../oci/platform.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { safeText } from "../safe-text.ts";
import { INSTALL_FLAGS, requireRoot } from "./install-flags.ts";

const SOCKET = "/run/sociable/sociable.sock";
const PROGRAM = "/usr/local/bin/sociable";
/** A program that lies there already stays there. */
const PROGRAM_DIRECTORIES = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"];

export const installCommand = defineCommand({
  name: "install",
  summary: "Set this host up: service, containerd, configuration",
  description:
    "Writes the systemd units of `sociable serve`, /etc/sociable/config.toml, and what containerd needs to use it: a file in the directory that containerd's configuration imports, else lines in that configuration, of which all else keeps its bytes. What an administrator has written stays; a second run changes nothing, a later version's run changes what is its own. /etc/sociable/installed.json says what was done, for `sociable uninstall`.",
  examples: [
    { command: "sociable install --dry-run", explanation: "Show what would change, as a diff" },
    {
      command: "sociable install",
      explanation: "Install, start the service, tell what is left to do",
    },
    {
      command: "sociable install --cri --restart-containerd",
      explanation: "On a Kubernetes node: all its images come through sociable",
    },
    {
      command: "sociable install --cri --root-dir /host",
      explanation: "In a container that has the node's files below /host",
    },
  ],
  args: [],
  flags: {
    cri: {
      type: "boolean",
      description: "Make it the snapshotter of Kubernetes' images, too",
    },
    symlinks: {
      type: "boolean",
      description: "Make the links soci and soci-snapshotter-grpc in /usr/local/bin",
    },
    "snapshotter-name": {
      type: "string",
      valueName: "NAME",
      default: "sociable",
      description: "What containerd and its clients call it",
    },
    "containerd-config": {
      type: "string",
      valueName: "FILE",
      default: "/etc/containerd/config.toml",
      description: "Configuration of containerd",
    },
    "containerd-version": {
      type: "string",
      valueName: "VERSION",
      description:
        "Version of containerd, as 1.7.2; by default the running one's, else the installed one's",
    },
    "no-start": {
      type: "boolean",
      description: "Write files only: systemd is not told",
    },
    "restart-service": {
      type: "boolean",
      description: "Restart the service when it or its program has changed; its mounts go on",
    },
    "restart-containerd": {
      type: "boolean",
      description: "Restart containerd when its configuration has changed; its containers go on",
    },
    ...INSTALL_FLAGS,
  },
  async run({ flags, io, services, signal }) {
    const root = new HostRoot(resolve(io.cwd, flags["root-dir"]));
    if (!flags["dry-run"]) requireRoot(io, root);
    const name = flags["snapshotter-name"];
    if (!/^[A-Za-z0-9][\w-]*$/.test(name)) {
      throw new SociError(
        "invalid-argument",
        `Cannot use ${JSON.stringify(name)} as name of a snapshotter: want letters, digits, - and _`,
      );
    }
    const config = absolute(flags["containerd-config"], "--containerd-config");
    const given = flags["containerd-version"];
    if (given !== undefined && !/^v?\d+\.\d+/.test(given)) {
      throw new SociError(
        "invalid-argument",
        `Cannot use ${JSON.stringify(given)} as version of containerd: want one such as 1.7.2`,
      );
    }
    const socket = root.locate("/run/containerd/containerd.sock");
    const version =
      given ??
      (await containerdVersion(
        { socket, program: root.isOwn ? "containerd" : undefined },
        { signal },
      ));
    const manifest = readManifest(root);
    const plan = await planInstall(
      {
        root,
        program: programOf(services.selfCommand, root),
        containerd: { config, version, name, cri: flags.cri, platform: platformText() },
        symlinks: flags.symlinks,
        socket: SOCKET,
        stateRoot: SYSTEM_STATE_ROOT,
      },
      manifest,
    );
    if (flags["dry-run"]) {
      await io.stdout.write(installDiff(plan.changes));
    } else {
      applyInstall(plan, { root, manifest });
    }
    const isStarted = !flags["dry-run"] && !flags["no-start"] && root.isOwn && Systemd.isRunning();
    const next = isStarted
      ? await start(plan, {
          service: flags["restart-service"],
          containerd: flags["restart-containerd"],
        })
      : nextSteps(plan, root);
    const report = {
      containerd: version ?? null,
      changes: plan.changes.map(({ path, kind }) => ({ path, kind })),
      kept: plan.kept,
      next,
      applied: !flags["dry-run"],
    };
    if (flags.json && !flags["dry-run"]) await writeJson(io.stdout, report);
    const out = flags["dry-run"] || flags.json ? io.stderr : io.stdout;
    if (!flags.json) await out.write(reportText(report));
  },
});

function programOf(
  selfCommand: readonly string[] | undefined,
  root: HostRoot,
): { source: string; path: string } {
  const [source, ...rest] = selfCommand ?? [];
  if (source === undefined || rest.length > 0) {
    throw new SociError(
      "failed-precondition",
      "Cannot install sociable run from its sources: want the executable",
      { hint: "npm run build makes it: dist/sociable" },
    );
  }
  const stays = root.isOwn && PROGRAM_DIRECTORIES.includes(dirname(source));
  return { source, path: stays ? source : PROGRAM };
}

function platformText(): string {
  const { os, architecture } = hostPlatform();
  return `${os}/${architecture}`;
}

function absolute(path: string, flag: string): string {
  if (isAbsolute(path) && !path.split("/").includes("..")) return path;
  throw new SociError(
    "invalid-argument",
    `Cannot use ${flag} ${JSON.stringify(path)}: want an absolute path of the host`,
  );
}

/** What was changed is loaded and runs; resolves to what is left to do. */
async function start(
  plan: InstallPlan,
  restart: { readonly service: boolean; readonly containerd: boolean },
): Promise<readonly string[]> {
  const systemd = new Systemd();
  const isUpdate = await systemd.isActive("sociable.service");
  const isServiceChanged = plan.changes.some(({ path }) => !path.includes("containerd"));
  await systemd.reload();
  await systemd.enable(["sociable.socket", "sociable.service"]);
  const next: string[] = [];
  if (isUpdate && isServiceChanged) {
    if (restart.service) await systemd.restart("sociable.service");
    else next.push("systemctl restart sociable");
  }
  if (plan.containerdChanged) {
    if (restart.containerd) await systemd.restart("containerd.service");
    else next.push("systemctl restart containerd");
  }
  return next;
}

function nextSteps(plan: InstallPlan, root: HostRoot): readonly string[] {
  if (plan.changes.length === 0) return [];
  const hasSystemd = !root.isOwn || Systemd.isRunning();
  if (!hasSystemd)
    return ["sociable serve", ...(plan.containerdChanged ? ["# and restart containerd"] : [])];
  const steps = [
    "systemctl daemon-reload",
    "systemctl enable --now sociable.socket sociable.service",
  ];
  if (plan.containerdChanged) steps.push("systemctl restart containerd");
  return steps;
}

interface Report {
  readonly changes: readonly { readonly path: string; readonly kind: string }[];
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
  readonly next: readonly string[];
  readonly applied: boolean;
}

function reportText({ changes, kept, next, applied }: Report): string {
  const did = applied ? "wrote" : "would write";
  const lines = changes.map(({ path }) => `${did} ${path}`);
  if (changes.length === 0) lines.push("Nothing to change: all is as it should be");
  lines.push(...kept.map(({ path, reason }) => `kept ${path}: ${reason}`));
  if (applied && next.length > 0) lines.push("Now run:", ...next.map((step) => `  ${step}`));
  return lines.map((line) => `${safeText(line)}\n`).join("");
}
