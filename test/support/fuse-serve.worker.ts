import { FuseChannel } from "../../src/fuse/fuse-channel.ts";
import type { HelpOptions } from "../../src/fuse/help-line.ts";
import type { FuseNegotiated } from "../../src/fuse/init.ts";
import { FUSE_TREES, type FuseTreeName } from "./fuse-trees.ts";

declare const self: Worker;

/** What one thread of fuse-serve-main.ts is told. */
export interface ServeOrder {
  readonly fd: number;
  readonly wakeFd: number;
  readonly help: HelpOptions;
  readonly negotiated: FuseNegotiated;
  readonly tree: FuseTreeName;
}

self.onmessage = ({ data }: MessageEvent<ServeOrder>) => {
  const { tree, ...options } = data;
  using channel = new FuseChannel({ ...options, fileSystem: FUSE_TREES[tree]() });
  self.postMessage("ready");
  self.postMessage(channel.serve());
};
