// Serves a test file system on a mount until it is unmounted, or stdin ends. Its one argument is a
// ServeRequest; a JSON line on stdout tells when it is ready, and the last why it ended.
import { writeSync } from "node:fs";
import { cloneFuseDevice, negotiateFuse } from "../../src/fuse/device.ts";
import type { FuseNegotiated } from "../../src/fuse/init.ts";
import { notifyResend } from "../../src/fuse/replies.ts";
import { sysEventfd, sysWrite } from "../../src/sys/libc.ts";
import { mountFuse } from "../../src/sys/mount-fuse.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { setReadahead } from "../../src/sys/readahead.ts";
import type { FuseTreeName } from "./fuse-trees.ts";
import type { ServeOrder } from "./fuse-serve.worker.ts";

export interface ServeRequest {
  readonly directory: string;
  readonly tree: FuseTreeName;
  /** Default 1. */
  readonly threads?: number;
  readonly allowOther?: boolean;
  readonly readaheadBytes?: number;
  /** A mount that lives already: descriptor 3 is its connection. */
  readonly takeOver?: FuseNegotiated;
}

const SHARED_FD = 3;

const request = JSON.parse(process.argv[2] ?? "") as ServeRequest; // of our own tests
const { fd, negotiated } = await connect(request);
const helpFd = sysEventfd();
const wakeFds: number[] = [];
const ends: Promise<string>[] = [];
for (let thread = 0; thread < (request.threads ?? 1); thread++) {
  const wakeFd = sysEventfd();
  wakeFds.push(wakeFd);
  const order: ServeOrder = {
    fd: thread === 0 ? fd : cloneFuseDevice(fd),
    wakeFd,
    help: { fd: helpFd, rests: thread > 0 },
    negotiated,
    tree: request.tree,
  };
  const { ready, end } = serveIn(order);
  await ready;
  ends.push(end);
}
say({ ready: true, negotiated });
void new Response(Bun.stdin.stream()).text().then(() => {
  for (const wakeFd of wakeFds) sysWrite(wakeFd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
});
const outcomes = await Promise.all(ends);
say({ ended: outcomes, rss: process.memoryUsage.rss() });
process.exit(0);

async function connect({
  directory,
  allowOther = false,
  readaheadBytes,
  takeOver,
}: ServeRequest): Promise<{ fd: number; negotiated: FuseNegotiated }> {
  if (takeOver !== undefined) {
    const failed = notifyResend(SHARED_FD);
    if (failed < 0) throw new Error(`resend failed: ${failed}`);
    return { fd: SHARED_FD, negotiated: takeOver };
  }
  const mounted = await mountFuse({
    directory,
    source: "sample, image\\x",
    maxRead: 1 << 20,
    allowOther,
  });
  const agreed = negotiateFuse(mounted);
  const mount = await findMount(directory);
  if (mount !== undefined && readaheadBytes !== undefined) {
    await setReadahead(mount.device, readaheadBytes);
  }
  return { fd: mounted, negotiated: agreed };
}

function serveIn(order: ServeOrder): { ready: Promise<void>; end: Promise<string> } {
  const worker = new Worker(new URL("./fuse-serve.worker.ts", import.meta.url));
  const ready = Promise.withResolvers<void>();
  const end = Promise.withResolvers<string>();
  worker.onmessage = ({ data }: MessageEvent<string>) => {
    if (data === "ready") ready.resolve();
    else end.resolve(data);
  };
  worker.onerror = ({ message }) => end.reject(new Error(message));
  worker.postMessage(order);
  return { ready: ready.promise, end: end.promise };
}

function say(what: object): void {
  writeSync(1, `${JSON.stringify(what)}\n`);
}
