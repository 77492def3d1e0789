import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Plugin } from "./api/introspection.ts";
import type { ContainerdClient } from "./containerd-client.ts";

/**
 * The snapshotter's plugin, when containerd is there and has one that works.
 * @throws unavailable or permission-denied, or failed-precondition for the snapshotter, with a hint
 */
export async function checkSnapshotter(
  client: ContainerdClient,
  { snapshotter, signal }: WaitOptions & { readonly snapshotter: string },
): Promise<Plugin> {
  const plugins = await pluginsOf(client, { signal });
  const plugin = plugins.find(({ id }) => id === snapshotter);
  if (plugin === undefined) {
    const names = plugins.flatMap(({ id, initError }) => (initError === undefined ? [id] : []));
    throw new SociError(
      "failed-precondition",
      `Cannot use snapshotter "${snapshotter}": containerd has ${names.toSorted().join(", ")}`,
      { hint: pluginHint(snapshotter) },
    );
  }
  if (plugin.initError !== undefined) {
    throw new SociError(
      "failed-precondition",
      `Cannot use snapshotter "${snapshotter}": containerd says ${plugin.initError.message}`,
    );
  }
  return plugin;
}

async function pluginsOf(client: ContainerdClient, { signal }: WaitOptions) {
  try {
    return await client.plugins(["type==io.containerd.snapshotter.v1"], { signal });
  } catch (cause) {
    if (!isKind(cause, "unavailable")) throw cause;
    const isForbidden = /\b(?:EACCES|EPERM)\b/.test(cause.message);
    throw new SociError(
      isForbidden ? "permission-denied" : "unavailable",
      `Cannot reach containerd at "${client.address}"`,
      {
        cause,
        hint: isForbidden
          ? "Run it as root, or give --address of a containerd that is yours"
          : "Start containerd, or say with --address where it listens",
      },
    );
  }
}

function pluginHint(snapshotter: string): string {
  const name = /^[A-Za-z0-9_-]+$/.test(snapshotter) ? snapshotter : JSON.stringify(snapshotter);
  return `Put these lines into /etc/containerd/config.toml, and restart containerd:
[proxy_plugins.${name}]
  type = "snapshot"
  address = "/run/sociable/sociable.sock"`;
}
