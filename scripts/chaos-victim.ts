import { DetachedMount } from "../test/support/detached-mount.ts";
import type { CompareOrder, MountReader, ReaderReport } from "../test/support/mount-reader.ts";
import type { MountSample } from "../test/support/mount-sample.ts";
import { MountStage } from "../test/support/mount-stage.ts";
import { runnableLayer } from "../test/support/runnable-image.ts";
import { TakeoverHost } from "../test/support/takeover-host.ts";

/** A server of a mount that is killed, and the mount, which is read meanwhile. */
export interface ChaosVictim extends AsyncDisposable {
  readonly directory: string;
  /** Where the same files lie. */
  readonly reference: string;
  readonly serverPid: number;
  readonly keeperPid: number;
  /** Least time that it must be left alone, or whoever starts it takes it for one that cannot live. */
  readonly restMs: number;
  compare(order: Partial<CompareOrder>): MountReader<ReaderReport>;
  kill(): Promise<void>;
  /** Resolves when the next one serves. @throws when that was killed, too */
  restart(): Promise<void>;
}

export interface VictimOptions {
  readonly env: Readonly<Record<string, string>>;
  /** As long as a reader may take. */
  readonly timeoutMs: number;
}

/** `sociable serve`, under a container; its supervisor is the caller. */
export async function daemonVictim(
  sample: MountSample,
  { env, timeoutMs }: VictimOptions,
): Promise<ChaosVictim> {
  const stage = await TakeoverHost.start(sample, { env });
  const { serve } = stage.host;
  return {
    directory: stage.directory,
    reference: stage.reference,
    get serverPid() {
      return serve.pid;
    },
    get keeperPid() {
      return stage.keeperPid ?? 0;
    },
    restMs: 0,
    compare: (order) => stage.compare(order, { timeoutMs }),
    kill: () => serve.kill(),
    restart: () => serve.restart(),
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
}

/** `sociable mount --detach`; its keeper starts it again. */
export async function mountVictim(
  { layers, files }: MountSample,
  { env, timeoutMs }: VictimOptions,
): Promise<ChaosVictim> {
  await using resources = new AsyncDisposableStack();
  const stage = resources.use(
    await MountStage.open({ layers: [await runnableLayer(), ...layers], files }),
  );
  const mount = resources.use(await DetachedMount.start(stage, { env }));
  const owned = resources.move();
  let killed: number | undefined;
  return {
    directory: mount.directory,
    reference: stage.reference,
    get serverPid() {
      return mount.serverPid ?? 0;
    },
    get keeperPid() {
      return mount.keeperPid ?? 0;
    },
    restMs: 1_100,
    compare: (order) => stage.compare(mount, { ...order, timeoutMs }),
    kill: async () => {
      killed = mount.serverPid;
      await mount.killServer();
    },
    restart: () => mount.servedAgain(killed),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
