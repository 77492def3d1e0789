import { mkdir, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { delay } from "../../async/delay.ts";
import { ContainerdClient, type ContainerdNamespace } from "../../containerd/containerd-client.ts";
import { leaseForWork } from "../../containerd/work-lease.ts";
import { isKind, SociError } from "../../errors.ts";
import type { Logger } from "../../observability/log.ts";
import { isErrno } from "../../oci/fs-errors.ts";
import type { CliIo } from "../cli-io.ts";
import type { CliServices } from "../cli-services.ts";
import { ContainerdStore } from "./containerd-store.ts";
import type { GoFlagValues } from "./go-flags.ts";
import { openLocalSociStore } from "./local-soci-store.ts";
import { CONTENT_STORES } from "./soci-flags.ts";
import type { SociStore } from "./soci-store.ts";

export interface SociContextOptions {
  /** Those before the command. */
  readonly globals: GoFlagValues;
  readonly io: CliIo;
  readonly services: CliServices;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

type ContentStore = (typeof CONTENT_STORES)[number];

const READY_RETRY_MS = 50;

/** What the commands of the Go tool work with. containerd is connected to when it is first needed. */
export class SociContext implements AsyncDisposable {
  readonly io: CliIo;
  readonly services: CliServices;
  readonly log: Logger;
  /** Aborted by the user, or by --timeout. */
  readonly signal: AbortSignal;
  readonly root: string;
  readonly isDebug: boolean;
  readonly #globals: GoFlagValues;
  readonly #resources = new AsyncDisposableStack();
  #space: ContainerdNamespace | undefined;

  constructor({ globals, io, services, log, signal }: SociContextOptions) {
    this.io = io;
    this.services = services;
    this.log = log;
    this.signal = signal;
    this.root = resolve(io.cwd, globals.text("root"));
    this.isDebug = globals.bool("debug");
    this.#globals = globals;
  }

  /** The namespace of containerd that was asked for; nobody has been asked yet. @throws invalid-argument */
  get space(): ContainerdNamespace {
    if (this.#space === undefined) {
      const client = this.#resources.use(new ContainerdClient(this.#globals.text("address")));
      this.#space = client.namespace(this.#globals.text("namespace"));
    }
    return this.#space;
  }

  /** Resolves when containerd answers: within --timeout it is waited for. @throws unavailable */
  async connect(): Promise<ContainerdNamespace> {
    const { signal } = this;
    const isPatient = this.#globals.milliseconds("timeout") > 0;
    for (;;) {
      try {
        await this.space.images.list(["name==none"], { signal });
        return this.space;
      } catch (error) {
        if (isTimeout(error)) throw notReady(error);
        if (!isPatient || !isKind(error, "unavailable")) throw error;
      }
      try {
        await delay(READY_RETRY_MS, { signal });
      } catch (error) {
        throw isTimeout(error) ? notReady(error) : error;
      }
    }
  }

  /** What --content-store says. @throws invalid-argument, its message after `prefix` */
  contentStore(prefix = ""): ContentStore {
    const text = this.#globals.text("content-store");
    const known = CONTENT_STORES.find((name) => name === text);
    if (known !== undefined) return known;
    throw new SociError(
      "invalid-argument",
      `${prefix}unknown content store type: ${text}; must be one of [${CONTENT_STORES.join(" ")}]`,
    );
  }

  /** Opens the store; of containerd's, only the list. It is closed with the context. */
  async openStore({ isDamaged = false } = {}): Promise<SociStore> {
    return await this.#openStore(this.contentStore(), { isDamaged, space: () => this.space });
  }

  /** Opens the store to put something there, and the namespace in which nothing of it is collected meanwhile. */
  async openStoreForWork(
    what: string,
  ): Promise<{ readonly store: SociStore; readonly space: ContainerdNamespace }> {
    const { signal } = this;
    const lease = this.#resources.use(await leaseForWork(this.space, { what, signal }));
    const store = await this.#openStore(this.contentStore(), {
      isDamaged: false,
      space: () => lease.space,
    });
    return { store, space: lease.space };
  }

  /** Makes the root directory, whose parent must be there. @throws failed-precondition */
  async prepareRoot(): Promise<void> {
    const { root } = this;
    try {
      const found = await stat(root);
      if (found.isDirectory()) return;
    } catch (cause) {
      if (!isErrno(cause, "ENOENT")) {
        throw rootError(`stat ${root}: ${describe(cause)}`, cause);
      }
      try {
        await mkdir(root, { mode: 0o700 });
        return;
      } catch (error) {
        throw rootError(`mkdir ${root}: ${describe(error)}`, error);
      }
    }
    throw rootError(`open ${root}: not a directory`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #openStore(
    kind: ContentStore,
    {
      isDamaged,
      space,
    }: { readonly isDamaged: boolean; readonly space: () => ContainerdNamespace },
  ): Promise<SociStore> {
    const { root, signal } = this;
    const store =
      kind === "soci"
        ? await openLocalSociStore({ root, isDamaged, signal })
        : await ContainerdStore.open({ root, space: space(), signal });
    return this.#resources.use(store);
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}

function notReady(cause: unknown): SociError {
  const exceeded = "context deadline exceeded";
  return new SociError(
    "unavailable",
    `${exceeded} while waiting for connections to become ready: ${exceeded}`,
    { cause },
  );
}

function rootError(message: string, cause?: unknown): SociError {
  return new SociError("failed-precondition", message, cause === undefined ? {} : { cause });
}

/** As Go names them. */
function describe(error: unknown): string {
  if (isErrno(error, "ENOENT")) return "no such file or directory";
  if (isErrno(error, "ENOTDIR")) return "not a directory";
  if (isErrno(error, "EACCES")) return "permission denied";
  if (isErrno(error, "EROFS")) return "read-only file system";
  return error instanceof Error ? error.message : String(error);
}
