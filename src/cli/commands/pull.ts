import {
  ContainerdClient,
  DEFAULT_CONTAINERD_ADDRESS,
} from "../../containerd/containerd-client.ts";
import { type PulledImage, pullImage } from "../../containerd/pull-image.ts";
import type { LayerStatus, PulledLayer } from "../../containerd/pulled-layer.ts";
import { parseDigest } from "../../oci/digest.ts";
import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import { parseReference } from "../../oci/reference.ts";
import { openImageSource } from "../../oci/open-image-source.ts";
import { DaemonClient } from "../../daemon/daemon-api.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS, registryOptions } from "../registry-options.ts";
import { safeText } from "../safe-text.ts";

const WORDS: Readonly<Record<LayerStatus, string>> = {
  present: "was here",
  lazy: "lazily",
  prepared: "by the snapshotter",
  unpacked: "downloaded and unpacked",
};

export const pullCommand = defineCommand({
  name: "pull",
  summary: "Pull an image into containerd, lazily",
  description:
    "Drives containerd as nerdctl and Kubernetes do: the image's manifest and config go into its content store, each layer becomes a snapshot, and the image gets its name last. A layer that the snapshotter shows by itself (`sociable serve` does, when the image is indexed) is not downloaded; the others are, and unpacked by containerd. Any snapshotter of containerd will do.",
  examples: [
    {
      command: "sociable pull registry.example.com/team/app:1.4",
      explanation: "Make an image ready for `ctr run --snapshotter sociable`",
    },
    {
      command: "sociable pull --namespace k8s.io registry.example.com/team/app:1.4",
      explanation: "For Kubernetes, whose images are in a namespace of their own",
    },
    {
      command: "sociable pull --snapshotter overlayfs localhost:5000/app",
      explanation: "Download and unpack the whole image, as any other client",
    },
  ],
  args: [{ name: "image", required: true, description: "REF, in a registry" }],
  flags: {
    address: {
      type: "string",
      short: "a",
      valueName: "SOCKET",
      description: `Where containerd listens. Default: $CONTAINERD_ADDRESS, else ${DEFAULT_CONTAINERD_ADDRESS}`,
    },
    namespace: {
      type: "string",
      short: "n",
      valueName: "NAME",
      description:
        "Namespace of containerd to pull into. Default: $CONTAINERD_NAMESPACE, else default",
    },
    snapshotter: {
      type: "string",
      default: "sociable",
      valueName: "NAME",
      description: "Snapshotter, by the name that containerd's configuration gives it",
    },
    platform: {
      type: "string",
      short: "p",
      valueName: "OS/ARCH[/VARIANT]",
      description: "Platform to pull. Default: this machine's, or the only one",
    },
    "soci-index-digest": {
      type: "string",
      valueName: "DIGEST",
      description: "SOCI index to use. Default: the one that the snapshotter finds",
    },
    "each-layer": {
      type: "boolean",
      description:
        "A snapshot for each layer, as other clients make them; `sociable serve` makes one of all layers otherwise, where it serves them all, which is faster the more there are",
    },
    ...REGISTRY_FLAGS,
    json: { type: "boolean", description: "Print a JSON object: the image and its layers" },
    quiet: { type: "boolean", short: "q", description: "Print nothing but the image's name" },
  },
  async run({ args, flags, io, log, signal, progress }) {
    const reference = parseReference(args.image);
    const { platform, "soci-index-digest": index, snapshotter } = flags;
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    const digest = index === undefined ? undefined : parseDigest(index, "--soci-index-digest");
    const namespace = flags.namespace ?? (io.env["CONTAINERD_NAMESPACE"] || "default");
    await using client = new ContainerdClient(
      flags.address ?? (io.env["CONTAINERD_ADDRESS"] || DEFAULT_CONTAINERD_ADDRESS),
    );
    const context = { flags, io, log, signal };
    const options = await registryOptions(reference.registry, context);
    await using source = await openImageSource(args.image, options);
    const lines: Promise<void>[] = [];
    const pulled = await pullImage({
      client,
      source,
      reference,
      namespace,
      snapshotter,
      platform: wanted,
      index: digest,
      signal,
      eachLayer: flags["each-layer"],
      announce: async (socket, pull, options) => {
        using daemon = new DaemonClient(socket.replace(/^unix:\/\//, ""));
        await daemon.announce(pull, options);
        return true;
      },
      onLayer: (layer) => {
        if (!flags.json && !flags.quiet) lines.push(io.stdout.write(`${lineOf(layer)}\n`));
      },
      onDownload: ({ digest: name, size }) => progress.item(name, { totalBytes: size }),
    });
    await Promise.all(lines);
    if (flags.json) {
      await writeJson(io.stdout, jsonOf(pulled, { namespace, snapshotter }));
    } else {
      const name = safeText(pulled.name);
      await io.stdout.write(flags.quiet ? `${name}\n` : `image ${name} ${pulled.target.digest}\n`);
    }
  },
});

function lineOf({ descriptor, status }: PulledLayer): string {
  return `layer ${descriptor.digest} ${WORDS[status]}`;
}

function jsonOf(
  { name, target, manifest, platform, chainId, layers }: PulledImage,
  containerd: { readonly namespace: string; readonly snapshotter: string },
): unknown {
  return {
    name,
    digest: target.digest,
    manifest: manifest.digest,
    platform: formatPlatform(platform),
    ...containerd,
    ...(chainId === undefined ? {} : { snapshot: chainId }),
    layers: layers.map(({ descriptor, chainId: snapshot, status }) => ({
      digest: descriptor.digest,
      mediaType: descriptor.mediaType,
      size: descriptor.size,
      snapshot,
      status,
    })),
  };
}
