import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { type StackKind, StackMounts } from "../../src/daemon/stack-mounts.ts";
import { createLogger } from "../../src/observability/log.ts";
import { rejectionOf } from "../support/failure.ts";
import { FakeChainMounts, mapped, PLAIN } from "./fake-chain-mounts.ts";

function stack(treeKey: string, kind: StackKind = PLAIN) {
  return { treeKey, treePath: `/trees/${treeKey}`, layers: [], kind };
}

describe("StackMounts", () => {
  test("shows stacks of a kind in one mount, made when it is first needed", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    expect(fake.events).toEqual([]);
    const paths = await Promise.all([mounts.show(stack("a")), mounts.show(stack("b"))]);
    expect(paths).toEqual(["/mnt/plain/a", "/mnt/plain/b"]);
    expect(fake.events).toEqual(["open plain", "add plain a", "add plain b"]);
    expect(mounts.count).toBe(2);
  });

  test.each([
    { title: "plain", kind: PLAIN, path: /^\/mnt\/plain\/a$/ },
    { title: "with xattrs", kind: { ...PLAIN, xattrs: true }, path: /^\/mnt\/xattrs\/a$/ },
    { title: "with ACLs", kind: { ...PLAIN, xattrs: true, acls: true }, path: /^\/mnt\/acls\/a$/ },
    { title: "mapped", kind: mapped(1), path: /^\/mnt\/plain-[0-9a-f]{16}\/a$/ },
  ])("shows a stack that is $title in a mount for such", async ({ kind, path }) => {
    await using mounts = new FakeChainMounts().mounts;
    expect(await mounts.show(stack("a", kind))).toMatch(path);
    expect(mounts.isShown({ treeKey: "a", kind })).toBe(true);
    expect(mounts.isShown({ treeKey: "a", kind: mapped(2) })).toBe(false);
  });

  test("hide() keeps the mounts that all containers share", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a"));
    await mounts.hide(stack("a"));
    await mounts.hide(stack("a"));
    expect(mounts.isShown(stack("a"))).toBe(false);
    expect(fake.events).toEqual(["open plain", "add plain a", "remove plain a"]);
    expect(fake.open).toEqual(["plain"]);
  });

  test("hide() takes a mapping's mount away with its last stack", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a", mapped(1)));
    await mounts.show(stack("b", mapped(1)));
    await mounts.hide(stack("a", mapped(1)));
    expect(fake.open).toEqual(["plain-ids"]);
    await mounts.hide(stack("b", mapped(1)));
    expect(fake.open).toEqual([]);
  });

  test("hide() leaves a mapping's mount to a stack that is about to be shown there", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a", mapped(1)));
    const gate = Promise.withResolvers<void>();
    fake.gates.set("add", gate.promise);
    const showing = mounts.show(stack("b", mapped(1)));
    await setImmediate();
    await mounts.hide(stack("a", mapped(1)));
    gate.resolve();
    expect(await showing).toEndWith("/b");
    expect(mounts.isShown(stack("b", mapped(1)))).toBe(true);
    expect(fake.open).toEqual(["plain-ids"]);
  });

  test("show() waits for the mount before it on its directory to be gone", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a", mapped(1)));
    const gate = Promise.withResolvers<void>();
    fake.gates.set("end", gate.promise);
    const hiding = mounts.hide(stack("a", mapped(1)));
    while (!fake.events.includes("end plain-ids")) await setImmediate();
    const showing = mounts.show(stack("b", mapped(1)));
    await setImmediate();
    gate.resolve();
    await Promise.all([hiding, showing]);
    expect(fake.events.slice(-3)).toEqual(["end plain-ids", "open plain-ids", "add plain-ids b"]);
    expect(fake.open).toEqual(["plain-ids"]);
    expect(mounts.isShown(stack("b", mapped(1)))).toBe(true);
  });

  test("a mount that was lost shows nothing any more, is ended, and made again", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a"));
    fake.lose("plain");
    while (!fake.events.includes("end plain")) await setImmediate();
    expect(mounts.isShown(stack("a"))).toBe(false);
    expect(mounts.count).toBe(0);
    expect(await mounts.show(stack("a"))).toBe("/mnt/plain/a");
    expect(fake.events).toEqual([
      "open plain",
      "add plain a",
      "end plain",
      "open plain",
      "add plain a",
    ]);
  });

  test("hide() of a stack whose mount was lost waits until that is ended", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a"));
    const gate = Promise.withResolvers<void>();
    fake.gates.set("end", gate.promise);
    fake.lose("plain");
    while (!fake.events.includes("end plain")) await setImmediate();
    let isHidden = false;
    const hiding = mounts.hide(stack("a")).then(() => (isHidden = true));
    await setImmediate();
    expect(isHidden).toBe(false);
    gate.resolve();
    await hiding;
    expect(isHidden).toBe(true);
  });

  test("show() throws why it cannot be mounted, and tries again the next time", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    fake.failures.set("open", new Error("no /dev/fuse"));
    expect(await rejectionOf(mounts.show(stack("a")))).toMatchObject({ message: "no /dev/fuse" });
    expect(await mounts.show(stack("a"))).toBe("/mnt/plain/a");
  });

  test("show() that fails leaves no mount for its mapping", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    fake.failures.set("add", new Error("disk full"));
    expect(await rejectionOf(mounts.show(stack("a", mapped(1))))).toMatchObject({
      message: "disk full",
    });
    expect(fake.open).toEqual([]);
  });

  test("hide() that fails shows the stack no more, and ends a mapping's mount with the next", async () => {
    const fake = new FakeChainMounts();
    await using mounts = fake.mounts;
    await mounts.show(stack("a", mapped(1)));
    fake.failures.set("remove", new Error("thread died"));
    expect(await rejectionOf(mounts.hide(stack("a", mapped(1))))).toMatchObject({
      message: "thread died",
    });
    expect(mounts.count).toBe(0);
    await mounts.show(stack("b", mapped(1)));
    await mounts.hide(stack("b", mapped(1)));
    expect(fake.open).toEqual([]);
  });

  test("disposed of in the middle of a show() it leaves no mount", async () => {
    const fake = new FakeChainMounts();
    const gate = Promise.withResolvers<void>();
    fake.gates.set("open", gate.promise);
    const showing = Promise.allSettled([fake.mounts.show(stack("a"))]);
    await setImmediate();
    const ending = fake.mounts[Symbol.asyncDispose]();
    gate.resolve();
    await ending;
    await showing;
    expect(fake.open).toEqual([]);
    expect(await rejectionOf(fake.mounts.show(stack("a")))).toMatchObject({ kind: "unavailable" });
    expect(fake.open).toEqual([]);
  });

  test("one mount that cannot be ended keeps none of the others", async () => {
    const logged: string[] = [];
    let count = 0;
    const mounts = new StackMounts({
      directory: "/mnt",
      open: async () => {
        const isBad = ++count === 1;
        return {
          unmounted: new Promise(() => undefined),
          addChain: async () => "/path",
          [Symbol.asyncDispose]: async () => {
            if (isBad) throw new Error("busy");
            count = 100;
          },
        } as never;
      },
      log: createLogger({ sink: ({ message }) => logged.push(message) }),
    });
    await mounts.show(stack("a"));
    await mounts.show(stack("a", mapped(1)));
    await mounts[Symbol.asyncDispose]();
    expect(count).toBe(100);
    expect(logged).toEqual(["file system cannot be unmounted"]);
  });
});

describe("StackMounts at a change of daemons", () => {
  test("begin() serves what was taken over, with all that is shown by then", async () => {
    const fake = new FakeChainMounts();
    await fake.mounts.show(stack("a", PLAIN));
    await fake.mounts.show(stack("b", PLAIN));
    await fake.mounts.begin();
    expect(fake.events).toEqual(["open plain", "add plain a", "add plain b", "begin plain"]);
  });

  test("begin() takes a mount away that cannot be served, and a new one can come", async () => {
    const fake = new FakeChainMounts();
    fake.failures.set("begin", new Error("no threads"));
    await fake.mounts.show(stack("a", PLAIN));
    await fake.mounts.begin();
    expect(fake.open).toEqual([]);
    expect(fake.mounts.isShown(stack("a", PLAIN))).toBe(false);
    await fake.mounts.show(stack("a", PLAIN));
    expect(fake.open).toEqual(["plain"]);
  });

  test("leave() leaves mounts that show something, and ends the others", async () => {
    const fake = new FakeChainMounts();
    await fake.mounts.show(stack("a", PLAIN));
    const xattrs = { ...PLAIN, xattrs: true };
    await fake.mounts.show(stack("b", xattrs));
    await fake.mounts.hide(stack("b", xattrs));
    await fake.mounts.leave();
    expect(fake.events.slice(-2).toSorted()).toEqual(["end xattrs", "leave plain"]);
    expect(fake.open).toEqual(["plain"]);
  });
});
