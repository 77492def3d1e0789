import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { notifyServiceManager } from "../../src/sys/sd-notify.ts";
import { datagramSocket } from "../support/datagram-socket.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

describe("notifyServiceManager()", () => {
  test("does nothing where no socket is named", async () => {
    expect(await notifyServiceManager("READY=1", { socket: undefined })).toBeUndefined();
    expect(await notifyServiceManager("READY=1", { socket: "" })).toBeUndefined();
  });

  test("sends to a path, one datagram a state", async () => {
    await using dir = await tempDir();
    const socket = dir.join("notify");
    using manager = datagramSocket(socket);
    await notifyServiceManager("READY=1", { socket });
    await notifyServiceManager("STOPPING=1", { socket });
    expect([manager.receive(), manager.receive(), manager.receive()]).toEqual([
      "READY=1",
      "STOPPING=1",
      undefined,
    ]);
  });

  test("sends to a name without a file", async () => {
    const socket = `@sociable-test-${crypto.randomUUID()}`;
    using manager = datagramSocket(socket);
    await notifyServiceManager("READY=1", { socket });
    expect(manager.receive()).toBe("READY=1");
  });

  test("waits for a manager that is behind", async () => {
    await using dir = await tempDir();
    const socket = dir.join("notify");
    using manager = datagramSocket(socket);
    // Far more than a socket's queue takes.
    const sent = (async () => {
      for (let times = 0; times < 100; times += 1) {
        await notifyServiceManager("READY=1", { socket });
      }
    })();
    let received = 0;
    while (received < 100) {
      if (manager.receive() === "READY=1") received += 1;
      else await Bun.sleep(1);
    }
    await sent;
    expect(received).toBe(100);
  });

  test.each([
    { title: "a relative path", socket: "notify" },
    { title: "a path that is too long", socket: `/${"x".repeat(108)}` },
    { title: "a path at which nobody is", socket: "/nonexistent/notify" },
  ])("refuses $title and leaves no descriptor", async ({ socket }) => {
    const before = readdirSync("/proc/self/fd").length;
    const error = await rejectionOf(notifyServiceManager("READY=1", { socket }));
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});
