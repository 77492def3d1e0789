import { expect, test } from "bun:test";
import { snapshotMounts } from "../../src/snapshotter/snapshot-mounts.ts";

const BASE = { upper: "/r/7/fs", work: "/r/7/work", overlayOptions: [], bindOptions: [] };

test.each([
  {
    title: "an active one over nothing",
    options: { ...BASE, kind: "active", lowers: [] },
    mount: { type: "bind", source: "/r/7/fs", options: ["rw", "rbind"] },
  },
  {
    title: "a view of nothing",
    options: { ...BASE, kind: "view", lowers: [] },
    mount: { type: "bind", source: "/r/7/fs", options: ["ro", "rbind"] },
  },
  {
    title: "a view of one directory",
    options: { ...BASE, kind: "view", lowers: ["/r/1/fs"], bindOptions: ["uidmap=0:1:1"] },
    mount: { type: "bind", source: "/r/1/fs", options: ["ro", "rbind", "uidmap=0:1:1"] },
  },
  {
    title: "a view of two",
    options: { ...BASE, kind: "view", lowers: ["/r/2/fs", "/r/1/fs"] },
    mount: { type: "overlay", source: "overlay", options: ["lowerdir=/r/2/fs:/r/1/fs"] },
  },
  {
    title: "an active one over one, in a user namespace",
    options: { ...BASE, kind: "active", lowers: ["/r/1/fs"], overlayOptions: ["userxattr"] },
    mount: {
      type: "overlay",
      source: "overlay",
      options: ["workdir=/r/7/work", "upperdir=/r/7/fs", "lowerdir=/r/1/fs", "userxattr"],
    },
  },
  {
    title: "paths that need a backslash",
    options: {
      ...BASE,
      kind: "active",
      upper: "/a:b,c\\d/fs",
      work: "/a:b,c\\d/work",
      lowers: ["/a:b,c\\d/1"],
    },
    mount: {
      type: "overlay",
      source: "overlay",
      options: [
        "workdir=/a:b\\,c\\\\d/work",
        "upperdir=/a:b\\,c\\\\d/fs",
        "lowerdir=/a\\:b\\,c\\\\d/1",
      ],
    },
  },
] as const)("snapshotMounts() of $title", ({ options, mount }) => {
  expect(snapshotMounts(options)).toEqual([{ target: "", ...mount, options: [...mount.options] }]);
});
