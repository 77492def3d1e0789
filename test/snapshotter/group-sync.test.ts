import { expect, test } from "bun:test";
import { GroupSync } from "../../src/snapshotter/group-sync.ts";
import { rejectionOf } from "../support/failure.ts";

/** Syncs that end when they are told to. */
function controlled(): { group: GroupSync; begun: PromiseWithResolvers<void>[] } {
  const begun: PromiseWithResolvers<void>[] = [];
  const group = new GroupSync(() => {
    const one = Promise.withResolvers<void>();
    begun.push(one);
    return one.promise;
  });
  return { group, begun };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

test("GroupSync runs once for all who ask before it begins", async () => {
  const { group, begun } = controlled();
  const asked = [group.run(), group.run(), group.run()];
  await settle();
  expect(begun.length).toBe(1);
  begun[0]?.resolve();
  await Promise.all(asked);
});

test("GroupSync runs again for those who ask while it runs", async () => {
  const { group, begun } = controlled();
  const first = group.run();
  await settle();
  let late = false;
  const second = Promise.all([group.run(), group.run()]).then(() => {
    late = true;
  });
  begun[0]?.resolve();
  await first;
  await settle();
  expect({ begun: begun.length, late }).toEqual({ begun: 2, late: false });
  begun[1]?.resolve();
  await second;
});

test("GroupSync fails for those whose sync failed, and goes on", async () => {
  const { group, begun } = controlled();
  const first = rejectionOf(group.run());
  await settle();
  const second = group.run();
  begun[0]?.reject(new Error("disk"));
  expect(await first).toMatchObject({ message: "disk" });
  await settle();
  begun[1]?.resolve();
  await second;
});
