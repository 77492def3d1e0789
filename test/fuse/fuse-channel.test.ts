import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FUSE_GETATTR, FUSE_READ } from "../../src/fuse/abi.ts";
import { FuseChannel } from "../../src/fuse/fuse-channel.ts";
import type { HelpOptions } from "../../src/fuse/help-line.ts";
import type { FuseNegotiated } from "../../src/fuse/init.ts";
import {
  beginJournal,
  journalBytes,
  RequestJournal,
  unansweredIn,
} from "../../src/fuse/request-journal.ts";
import {
  sysClose,
  sysEventfd,
  sysRead,
  sysSetNonBlocking,
  sysSocketpair,
  sysWrite,
} from "../../src/sys/libc.ts";
import { type Reply, readBody, replyOf, requestFrame } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
const NEGOTIATED: FuseNegotiated = {
  minor: 45,
  kernelMinor: 45,
  flags: 0,
  flags2: 0,
  maxReadahead: 0,
  maxRead: 1 << 17,
  maxBackground: 1,
};

// A socket that keeps messages apart, for the device.
let device: number;
let kernel: number;
let wakeFd: number;
let helpFd: number;
let fs: MemoryFileSystem;

beforeEach(() => {
  const fds = new Int32Array(2);
  sysSocketpair(AF_UNIX, SOCK_SEQPACKET, fds);
  [device = -1, kernel = -1] = fds;
  sysSetNonBlocking(device);
  sysSetNonBlocking(kernel);
  wakeFd = sysEventfd();
  helpFd = sysEventfd();
  fs = new MemoryFileSystem();
});

afterEach(() => {
  for (const fd of [device, kernel, wakeFd, helpFd]) sysClose(fd);
});

function channelOf(help?: HelpOptions, request?: Uint8Array): FuseChannel {
  return new FuseChannel({
    fd: device,
    wakeFd,
    negotiated: NEGOTIATED,
    fileSystem: fs,
    request,
    ...(help === undefined ? {} : { help }),
  });
}

function ask(unique: bigint, opcode = FUSE_GETATTR, body = new Uint8Array(16)): void {
  sysWrite(kernel, requestFrame({ opcode, unique, node: 1 }, body));
}

function answers(): Reply[] {
  const buffer = new Uint8Array(1 << 18);
  const replies: Reply[] = [];
  for (;;) {
    const length = sysRead(kernel, buffer);
    if (length <= 0) return replies;
    replies.push(replyOf(buffer.slice(0, length)));
  }
}

const isCalled = (): boolean => sysRead(helpFd, new Uint8Array(8)) > 0;

describe("FuseChannel.serve()", () => {
  test("answers what has come, and returns when it is woken", () => {
    using channel = channelOf();
    ask(1n);
    ask(2n);
    sysWrite(wakeFd, ONE);
    expect(channel.serve()).toBe("woken");
    expect(answers().map(({ unique, errno }) => [unique, errno])).toEqual([
      [1n, 0],
      [2n, 0],
    ]);
  });

  test("can be called again, and is not woken by what woke it before", () => {
    using channel = channelOf();
    sysWrite(wakeFd, ONE);
    expect(channel.serve()).toBe("woken");
    ask(3n);
    let asked = 0;
    fs.getattr = () => {
      asked += 1;
      sysWrite(wakeFd, ONE);
      return 0;
    };
    expect(channel.serve()).toBe("woken");
    expect(asked).toBe(1);
  });

  test("is woken in the middle of requests that never end", () => {
    using channel = channelOf();
    let asked = 0;
    fs.getattr = () => {
      asked += 1;
      if (asked === 1) sysWrite(wakeFd, ONE);
      answers();
      ask(BigInt(asked));
      return 0;
    };
    ask(0n);
    expect(channel.serve()).toBe("woken");
    expect(asked).toBeLessThan(2000);
  });

  test("returns at the end of the mount", () => {
    using channel = channelOf();
    ask(1n);
    sysClose(kernel);
    expect(channel.serve()).toBe("unmounted");
    kernel = -1;
  });

  test("throws when the device fails", () => {
    using channel = channelOf();
    sysClose(device);
    expect(() => channel.serve()).toThrow(expect.objectContaining({ kind: "internal" }));
    device = -1;
  });
});

describe("threads that share a connection", () => {
  test("rest until they are called, then serve", () => {
    using channel = channelOf({ fd: helpFd, rests: true });
    ask(1n);
    sysWrite(wakeFd, ONE);
    expect(channel.serve()).toBe("woken");
    expect(answers()).toEqual([]);
    sysWrite(helpFd, ONE);
    fs.getattr = () => {
      sysWrite(wakeFd, ONE);
      return 0;
    };
    expect(channel.serve()).toBe("woken");
    expect(answers()).toHaveLength(1);
  });

  test("hear of the mount's end from one another", () => {
    using serving = channelOf({ fd: helpFd, rests: false });
    using resting = channelOf({ fd: helpFd, rests: true });
    sysClose(kernel);
    kernel = -1;
    expect(serving.serve()).toBe("unmounted");
    expect(resting.serve()).toBe("unmounted");
    expect(isCalled()).toBe(true);
  });

  test("are not called for a few small requests", () => {
    using channel = channelOf({ fd: helpFd, rests: false });
    for (let i = 0; i < 10; i++) ask(BigInt(i));
    sysWrite(wakeFd, ONE);
    channel.serve();
    expect(isCalled()).toBe(false);
  });

  test("are called for what waits behind a large read", () => {
    const node = fs.file(1, "big", { content: new Uint8Array(1 << 17) });
    using channel = channelOf({ fd: helpFd, rests: false });
    for (let i = 0; i < 3; i++) {
      const head = { opcode: FUSE_READ, unique: BigInt(i), node };
      sysWrite(kernel, requestFrame(head, readBody(0, 1 << 16)));
    }
    sysWrite(wakeFd, ONE);
    channel.serve();
    expect(isCalled()).toBe(true);
  });
});

describe("FuseChannel with a journal", () => {
  function newJournal(): { readonly memory: Uint8Array; readonly journal: RequestJournal } {
    const memory = new Uint8Array(journalBytes(1));
    beginJournal(memory, 1);
    return { memory, journal: new RequestJournal(memory, 0) };
  }

  test("has a request stand there while it is answered, and not behind that", () => {
    const { memory, journal } = newJournal();
    using channel = channelOf(undefined, journal.request);
    const during: number[] = [];
    fs.getattr = () => {
      during.push(unansweredIn(memory).length);
      return 0;
    };
    ask(1n);
    ask(2n);
    sysWrite(wakeFd, ONE);
    channel.serve();
    expect(during).toEqual([1, 1]);
    expect(unansweredIn(memory)).toEqual([]);
    expect(answers()).toHaveLength(2);
  });

  test("replay() answers what another server had read", () => {
    const { memory, journal } = newJournal();
    using channel = channelOf(undefined, journal.request);
    const opcode = FUSE_GETATTR;
    channel.replay(requestFrame({ opcode, unique: 9n, node: 1 }, new Uint8Array(16)));
    expect(answers()).toMatchObject([{ unique: 9n, errno: 0 }]);
    expect(unansweredIn(memory)).toEqual([]);
  });

  test("replay() of anything kills nobody", () => {
    using channel = channelOf();
    for (const bytes of [0, 1, 39, 40, 100, 1 << 16, (1 << 16) + 1]) {
      channel.replay(new Uint8Array(bytes).fill(0x5a));
    }
    expect(answers().every(({ errno }) => errno !== 0)).toBe(true);
  });

  test("frame is what a file system may put aside", () => {
    const { memory, journal } = newJournal();
    using channel = channelOf(undefined, journal.request);
    fs.getattr = () => {
      journal.park(channel.frame);
      return 0;
    };
    const frame = requestFrame({ opcode: FUSE_GETATTR, unique: 9n, node: 1 }, new Uint8Array(16));
    channel.replay(frame);
    expect(unansweredIn(memory)).toEqual([frame]);
  });
});
