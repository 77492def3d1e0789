import { describe, expect, jest, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { type ImageSession, ImageSessions } from "../../src/daemon/image-sessions.ts";
import { SociError } from "../../src/errors.ts";
import { createLogger, NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { FakePreparations, NAME } from "./fake-preparations.ts";

const OPENED = ["open example.com/app:1", "prepare example.com/app:1"];
const ENDED = ["end example.com/app:1", "close example.com/app:1"];

function sessionsOf(fake: FakePreparations, idleMs?: number): ImageSessions {
  return new ImageSessions({
    openSource: fake.openSource,
    prepare: fake.prepare,
    log: NO_LOG,
    ...(idleMs === undefined ? {} : { idleMs }),
  });
}

const itself = async (session: ImageSession): Promise<ImageSession> => session;

describe("ImageSessions", () => {
  test("joins all who ask for an image, at once and one after another", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    const [first, second] = await Promise.all([
      sessions.use(NAME, itself),
      sessions.use({ ...NAME }, itself),
    ]);
    expect(second).toBe(first);
    expect(await sessions.use(NAME, itself)).toBe(first);
    expect(fake.events).toEqual(OPENED);
  });

  test.each([
    { title: "namespace", other: { namespace: "k8s.io" } },
    { title: "reference", other: { imageReference: "example.com/app:2" } },
    { title: "manifest", other: { manifestDigest: digestOf(Buffer.from("x")) } },
    { title: "index", other: { indexDigest: digestOf(Buffer.from("x")) } },
  ])("starts anew for another $title", async ({ other }) => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    const first = await sessions.use(NAME, itself);
    expect(await sessions.use({ ...NAME, ...other }, itself)).not.toBe(first);
  });

  test("forgets an image that cannot be opened", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    fake.opening = Promise.reject(new SociError("unavailable", "no login"));
    expect(await rejectionOf(sessions.use(NAME, itself))).toMatchObject({ message: "no login" });
    fake.opening = Promise.resolve();
    await sessions.use(NAME, itself);
    expect(fake.events).toEqual(["open example.com/app:1", ...OPENED]);
  });

  test("forgets an image with which work failed, and ends it behind its other users", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    const gate = Promise.withResolvers<void>();
    const first = sessions.use(NAME, async (session) => {
      await gate.promise;
      return session;
    });
    await rejectionOf(
      sessions.use(NAME, async () => {
        throw new SociError("data-loss", "bad layer");
      }),
    );
    const next = await sessions.use(NAME, itself);
    expect(fake.events).toEqual([...OPENED, ...OPENED]);
    gate.resolve();
    expect(await first).not.toBe(next);
    while (fake.events.length < 6) await setImmediate();
    expect(fake.events.slice(4)).toEqual(ENDED);
  });

  test("expire() has the next one start anew", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    await sessions.use(NAME, async ({ name }) => sessions.expire(name));
    await sessions.use(NAME, itself);
    while (fake.events.length < 6) await setImmediate();
    expect(fake.events.toSorted()).toEqual([...OPENED, ...OPENED, ...ENDED].toSorted());
  });

  test("a caller who gives up takes nothing from the others, nor from the next", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const waiting = sessions.use(
      NAME,
      () =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      { signal },
    );
    await setImmediate();
    giveUp.abort(new Error("the client is gone"));
    expect(await rejectionOf(waiting)).toMatchObject({ message: "the client is gone" });
    await sessions.use(NAME, itself);
    expect(fake.events).toEqual(OPENED);
  });

  test("a caller does not wait for an image that is not open yet once it has given up", async () => {
    const fake = new FakePreparations();
    const gate = Promise.withResolvers<void>();
    fake.opening = gate.promise;
    await using sessions = sessionsOf(fake);
    const giveUp = new AbortController();
    const waiting = sessions.use(NAME, itself, { signal: giveUp.signal });
    giveUp.abort(new Error("gone"));
    expect(await rejectionOf(waiting)).toMatchObject({ message: "gone" });
    gate.resolve();
  });

  test("ends an image that nobody has asked for in a while", async () => {
    jest.useFakeTimers();
    try {
      const fake = new FakePreparations();
      await using sessions = sessionsOf(fake, 1000);
      await sessions.use(NAME, itself);
      jest.advanceTimersByTime(900);
      await sessions.use(NAME, itself);
      jest.advanceTimersByTime(900);
      await Promise.resolve();
      expect(fake.events).toEqual(OPENED);
      jest.advanceTimersByTime(200);
      for (let tick = 0; tick < 10; tick++) await Promise.resolve();
      expect(fake.events).toEqual([...OPENED, ...ENDED]);
    } finally {
      jest.useRealTimers();
    }
  });

  test("endIdle() ends what nobody uses, and nothing else", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    await sessions.use(NAME, async () => sessions.endIdle());
    expect(fake.events).toEqual(OPENED);
    sessions.endIdle();
    while (fake.events.length < 4) await setImmediate();
    expect(fake.events).toEqual([...OPENED, ...ENDED]);
  });

  test("announce() starts on an image, and says nothing when that fails", async () => {
    const fake = new FakePreparations();
    await using sessions = sessionsOf(fake);
    fake.opening = Promise.reject(new SociError("unavailable", "no login"));
    sessions.announce(NAME);
    await setImmediate();
    fake.opening = Promise.resolve();
    sessions.announce(NAME);
    await setImmediate();
    await sessions.use(NAME, itself);
    expect(fake.events).toEqual(["open example.com/app:1", ...OPENED]);
  });

  test("disposed of it ends images under their users, once, and takes no more", async () => {
    const fake = new FakePreparations();
    const sessions = sessionsOf(fake);
    const digest = digestOf(Buffer.from("layer"));
    const failed = rejectionOf(sessions.use(NAME, ({ preparation }) => preparation.layer(digest)));
    await setImmediate();
    await sessions[Symbol.asyncDispose]();
    expect(await failed).toMatchObject({ kind: "unavailable" });
    await sessions[Symbol.asyncDispose]();
    expect(await rejectionOf(sessions.use(NAME, itself))).toMatchObject({ kind: "unavailable" });
    sessions.announce(NAME);
    await setImmediate();
    expect(fake.events).toEqual([...OPENED, ...ENDED]);
  });

  test("closes the source also when the preparation cannot be started, or ended", async () => {
    const fake = new FakePreparations();
    const logged: string[] = [];
    let isBad = true;
    const sessions = new ImageSessions({
      openSource: fake.openSource,
      prepare: (...args) => {
        if (isBad) throw new Error("no threads");
        const preparation = fake.prepare(...args);
        preparation[Symbol.asyncDispose] = async () => {
          throw new Error("stuck");
        };
        return preparation;
      },
      log: createLogger({ sink: ({ message }) => logged.push(message) }),
    });
    expect(await rejectionOf(sessions.use(NAME, itself))).toMatchObject({ message: "no threads" });
    expect(fake.events).toEqual(["open example.com/app:1", "close example.com/app:1"]);
    isBad = false;
    await sessions.use(NAME, itself);
    await sessions[Symbol.asyncDispose]();
    expect(fake.events.slice(2)).toEqual([...OPENED, "close example.com/app:1"]);
    expect(logged).toEqual(["preparation of an image cannot be ended"]);
  });
});
