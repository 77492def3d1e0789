import { expect, test } from "bun:test";
import { mountUsers } from "../../src/install/mount-users.ts";
import { parseMountinfo } from "../../src/sys/mountinfo.ts";

const ROOT = "/var/lib/sociable";
const OURS = "40 20 0:50 / /var/lib/sociable/mnt/plain rw - fuse.sociable sociable rw\n";

test.each([
  { title: "nobody", line: "", want: [] },
  {
    title: "an overlay over it",
    line: "41 20 0:51 / /run/c/rootfs rw - overlay overlay rw,lowerdir=/var/lib/sociable/snapshots/1/fs:/var/lib/sociable/mnt/plain/a,upperdir=/u\n",
    want: ["/run/c/rootfs"],
  },
  {
    title: "an overlay as newer kernels list it",
    line: "41 20 0:51 / /run/c/rootfs rw - overlay overlay rw,lowerdir+=/x,lowerdir+=/var/lib/sociable/mnt/plain/a\n",
    want: ["/run/c/rootfs"],
  },
  {
    title: "a bind",
    line: "41 20 0:50 /a /run/view ro - fuse.sociable sociable rw\n",
    want: ["/run/view"],
  },
  {
    title: "nobody: an overlay of another directory of that beginning",
    line: "41 20 0:51 / /x rw - overlay overlay rw,lowerdir=/var/lib/sociable2/a\n",
    want: [],
  },
  {
    title: "nobody: a mount of `sociable mount`",
    line: "41 20 0:52 / /mnt/app ro - fuse.sociable sociable rw\n",
    want: [],
  },
])("mountUsers() finds $title", ({ line, want }) => {
  expect(mountUsers(parseMountinfo(OURS + line), ROOT)).toEqual(want);
});
