import { describe, expect, test } from "bun:test";
import { activationFd, parseSocketAddress } from "../../src/daemon/socket-address.ts";

describe("parseSocketAddress()", () => {
  test.each([
    { text: "/run/x.sock", address: { kind: "path", path: "/run/x.sock" } },
    { text: "unix:///run/x.sock", address: { kind: "path", path: "/run/x.sock" } },
    { text: "fd://", address: { kind: "activation" } },
  ])("takes $text", ({ text, address }) => {
    expect(parseSocketAddress(text)).toEqual(address as never);
  });

  test("names a protocol that it does not know as the Go tool does", () => {
    expect(() => parseSocketAddress("tcp://127.0.0.1:80")).toThrow(
      "unknown protocol for address tcp://127.0.0.1:80",
    );
  });

  test.each(["x.sock", "unix://x.sock", ""])("refuses %j, which is not absolute", (text) => {
    expect(() => parseSocketAddress(text)).toThrow(/not absolute/);
  });
});

describe("activationFd()", () => {
  test("is the first descriptor behind standard error when there is one for us", () => {
    expect(activationFd({ env: { LISTEN_PID: "7", LISTEN_FDS: "1" }, pid: 7 })).toBe(3);
  });

  test.each([
    { title: "for another process", env: { LISTEN_PID: "8", LISTEN_FDS: "1" } },
    { title: "of none", env: { LISTEN_PID: "7", LISTEN_FDS: "0" } },
    { title: "of nothing", env: {} },
    { title: "of nonsense", env: { LISTEN_PID: "7", LISTEN_FDS: "many" } },
  ])("is undefined when the environment speaks $title", ({ env }) => {
    expect(activationFd({ env, pid: 7 })).toBeUndefined();
  });

  test("refuses several", () => {
    expect(() => activationFd({ env: { LISTEN_PID: "7", LISTEN_FDS: "2" }, pid: 7 })).toThrow(
      /passed 2, want one/,
    );
  });
});
