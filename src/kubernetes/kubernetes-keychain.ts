import { abortable } from "../async/abortable.ts";
import { delay } from "../async/delay.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import type { Keychain } from "../oci/credentials.ts";
import type { JsonObject } from "../oci/json-document.ts";
import { type ClusterAccessOptions, findClusterAccess } from "./cluster-access.ts";
import { secretLogins, secretName } from "./secret.ts";
import { SecretLogins } from "./secret-logins.ts";
import { isGone, SecretsApi } from "./secrets-api.ts";

export interface KubernetesKeychainOptions extends Omit<ClusterAccessOptions, "signal"> {
  readonly log: Logger;
  readonly userAgent?: string | undefined;
  /** How often it is looked whether a kubeconfig has come, or one that can be used. */
  readonly pollMs?: number;
  /** The shortest wait after a failure; it doubles up to `maxWaitMs`. */
  readonly waitMs?: number;
  readonly maxWaitMs?: number;
  /** How long a lookup waits for the first list, at the start. */
  readonly patienceMs?: number;
}

const MAX_PAGES = 10_000;

/**
 * The logins in a cluster's secrets of type `kubernetes.io/dockerconfigjson`, in all namespaces that
 * we may see: listed, then watched. Everything that can go wrong is tried again, for ever; what was
 * seen last holds meanwhile. In memory only.
 */
export class KubernetesKeychain implements AsyncDisposable {
  readonly #options: KubernetesKeychainOptions;
  readonly #log: Logger;
  readonly #api: SecretsApi;
  readonly #gate = new RepeatGate();
  readonly #stop = new AbortController();
  readonly #firstTry = Promise.withResolvers<void>();
  readonly #done: Promise<void>;
  #logins = new SecretLogins();
  /** The state of the cluster that we know; `undefined` when all must be listed. */
  #version: string | undefined;

  private constructor(options: KubernetesKeychainOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#api = new SecretsApi(options);
    this.#done = this.#run(this.#stop.signal);
  }

  /** Returns at once. */
  static start(options: KubernetesKeychainOptions): KubernetesKeychain {
    return new KubernetesKeychain(options);
  }

  /** Secrets that are known. */
  get size(): number {
    return this.#logins.size;
  }

  readonly keychain: Keychain = async (host, { repository, isRefused = () => false, signal }) => {
    const { patienceMs = 2000 } = this.#options;
    const patience = Promise.withResolvers<void>();
    const timer = setTimeout(patience.resolve, patienceMs);
    try {
      await abortable(Promise.race([this.#firstTry.promise, patience.promise]), signal);
    } finally {
      clearTimeout(timer);
    }
    return this.#logins.find({ host, repository, isRefused });
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the keychain was closed"));
    await this.#done;
    this.#logins.clear();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { pollMs = 10_000, waitMs = 1000, maxWaitMs = 30_000 } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const started = performance.now();
      let leastMs = 0;
      try {
        const isThere = await this.#connect(signal);
        // A watch that ends as soon as it has begun is no success.
        const isShort = performance.now() - started < waitMs;
        failures = isThere && isShort ? failures + 1 : 0;
        leastMs = isThere ? 0 : pollMs;
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        // Somebody has to change something.
        leastMs =
          isKind(error, "failed-precondition", "unsupported") && !isGone(error) ? pollMs : 0;
        this.#onFailure(error);
      } finally {
        this.#firstTry.resolve();
      }
      const backOffMs = failures === 0 ? 0 : Math.min(waitMs * 2 ** (failures - 1), maxWaitMs);
      await delay(Math.max(backOffMs * (0.5 + Math.random() / 2), leastMs), { signal }).catch(
        () => undefined,
      );
    }
    this.#firstTry.resolve();
  }

  /** Whether there was a cluster: it was watched until the watch ended. */
  async #connect(signal: AbortSignal): Promise<boolean> {
    // Read each time: tokens and certificates are renewed.
    const access = await findClusterAccess({ ...this.#options, signal });
    if (access === undefined) {
      if (this.#gate.lets("no kubeconfig")) {
        this.#log.info("there is no kubeconfig yet", { path: this.#options.path });
      }
      return false;
    }
    this.#api.use(access);
    this.#version ??= await this.#list(signal);
    this.#firstTry.resolve();
    for await (const { type, object } of this.#api.watch(this.#version, { signal })) {
      const { name, resourceVersion } = secretName(object);
      if (type === "DELETED") this.#logins.delete(name);
      if (type === "ADDED" || type === "MODIFIED") this.#take(this.#logins, object);
      if (resourceVersion !== "") this.#version = resourceVersion;
    }
    return true;
  }

  async #list(signal: AbortSignal): Promise<string> {
    const logins = new SecretLogins();
    let version: string | undefined;
    let next: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const page = await this.#api.list(next, { signal });
      for (const item of page.items) this.#take(logins, item);
      version ??= page.resourceVersion;
      next = page.next;
      if (next === undefined) break;
    }
    this.#logins = logins;
    this.#log.info("logins of the cluster's secrets are here", { secrets: logins.size });
    return version ?? "";
  }

  /** One secret that cannot be used is no reason to do without the others. */
  #take(logins: SecretLogins, object: JsonObject): void {
    let name: string | undefined;
    try {
      const secret = secretName(object);
      ({ name } = secret);
      const found = secretLogins(object, secret);
      if (found === undefined) {
        // Items of lists may come without a type where the field selector was not understood.
        logins.delete(name);
      } else if (!logins.set(name, found) && this.#gate.lets("too many secrets")) {
        this.#log.warn("too many secrets with logins, some are left out", { secret: name });
      }
    } catch (error) {
      if (!isKind(error, "data-loss", "failed-precondition")) throw error;
      if (name !== undefined) logins.delete(name);
      this.#log.warn("secret cannot be used", { secret: name, error });
    }
  }

  #onFailure(error: unknown): void {
    // After an event that cannot be read, too: the same watch would come to it again.
    if (isGone(error) || isKind(error, "data-loss")) this.#version = undefined;
    if (isGone(error)) {
      this.#log.debug("the cluster's past is gone, listing all secrets again");
    } else if (this.#gate.lets(`failure: ${error instanceof SociError ? error.kind : "bug"}`)) {
      this.#log.warn("secrets of the cluster cannot be watched, trying again", { error });
    }
  }
}
