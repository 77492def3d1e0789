// Mounts as whoever runs it, reads a file of the mount through a child, unmounts, and says what it saw.
// Usage: fusermount-main.ts DIRECTORY SOURCE
import { join } from "node:path";
import { negotiateFuse } from "../../src/fuse/device.ts";
import { sysEventfd } from "../../src/sys/libc.ts";
import { mountFuse } from "../../src/sys/mount-fuse.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { unmountFuse } from "../../src/sys/unmount-fuse.ts";
import type { ServeOrder } from "../support/fuse-serve.worker.ts";

const [directory = "", source = ""] = process.argv.slice(2);
const fd = await mountFuse({ directory, source, maxRead: 1 << 17, allowOther: false });
const order: ServeOrder = {
  fd,
  wakeFd: sysEventfd(),
  help: { fd: sysEventfd(), rests: false },
  negotiated: negotiateFuse(fd, { maxRead: 1 << 17 }),
  tree: "sample",
};
const worker = new Worker(new URL("../support/fuse-serve.worker.ts", import.meta.url));
const ended = new Promise<string>((resolve) => {
  worker.onmessage = ({ data }: MessageEvent<string>) => {
    if (data !== "ready") resolve(data);
  };
});
worker.postMessage(order);
const mount = await findMount(directory);
const hello = await Bun.$`cat ${join(directory, "hello")}`.text();
await unmountFuse(directory);
const isGone = (await findMount(directory)) === undefined && (await ended) === "unmounted";
const options = mount?.options.split(",") ?? [];
const isSafe = ["ro", "nosuid", "nodev"].every((option) => options.includes(option));
process.stdout.write(
  JSON.stringify({ type: mount?.type, source: mount?.source, isSafe, hello, isGone }),
);
process.exit(0);
