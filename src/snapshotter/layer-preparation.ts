import type { WaitOptions } from "../async/wait-options.ts";
import { WHOLE_IMAGE_LABEL } from "../containerd/snapshot-labels.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import {
  HAS_INDEX_LABEL,
  layerRequestOf,
  NAMESPACE_LABEL,
  REMOTE_LABEL,
  REMOTE_LABEL_VALUE,
} from "./labels.ts";
import type { ImageAnswer, LayerMounter, LayerRequest, RefusalReason } from "./layer-mounter.ts";
import type { Metastore, NewSnapshot } from "./metastore.ts";
import { REF_LABEL } from "./metastore-schema.ts";
import { holderOf } from "./snapshot.ts";
import type { SnapshotterEvents } from "./snapshotter-events.ts";

export interface LayerPreparationOptions {
  readonly metastore: Metastore;
  readonly mounter: LayerMounter;
  readonly log: Logger;
  readonly events: SnapshotterEvents;
}

export interface LayerToPrepare extends NewSnapshot {
  /** The name under which containerd wants the layer. */
  readonly target: string;
  readonly namespace?: string | undefined;
}

// Fields and messages by which tools tell what became of a layer. Values are strings, not booleans.
const REMOTE = "remote-snapshot-prepared";
const LOCAL = "local-snapshot-prepared";
const DEFERRED = "defer-snapshot-runtime";

/** Reasons that somebody chose, or that lie in the image: no failure. */
const ORDINARY: ReadonlySet<RefusalReason> = new Set([
  "no-index",
  "no-ztoc",
  "not-served-parent",
  "labels-missing",
  "modes-disabled",
]);

/** Decides of each layer that containerd would unpack whether it is served instead. */
export class LayerPreparation {
  readonly #options: LayerPreparationOptions;

  constructor(options: LayerPreparationOptions) {
    this.#options = options;
  }

  /**
   * Throws `already-exists` when the layer is served: it is committed as its target then. Returns when
   * containerd has to unpack it.
   */
  async prepare(layer: LayerToPrepare, wait: WaitOptions = {}): Promise<void> {
    const { log: base } = this.#options;
    const { namespace = "", target, name, parent = "" } = layer;
    if (namespace === "") {
      throw new SociError("failed-precondition", "context has no namespace attached");
    }
    const log = base.child({ key: name, parent });
    if (this.#hasTarget(layer, log)) return await this.#found(target);
    const request = layerRequestOf(layer.labels, namespace);
    if (typeof request === "string") return this.#defer("labels-missing", request, log);
    const refused = this.#whyNotHere(layer);
    if (refused !== undefined) return this.#defer(refused.reason, refused.detail, log);

    const answer = await this.#ask(layer, request, wait);
    wait.signal?.throwIfAborted();
    if (answer.kind === "refused") {
      this.#reportFailure(answer, log);
      return this.#defer(answer.reason, answer.detail, log);
    }
    // Somebody else may have prepared, or removed, while we waited.
    if (this.#hasTarget(layer, log)) return await this.#found(target);
    const late = this.#whyNotHere(layer);
    if (late !== undefined) return this.#defer(late.reason, late.detail, log);
    this.#commit(layer, answer, log);
    return await this.#found(target);
  }

  /** Tells containerd, which believes it for ever: so it is on disk first. */
  async #found(target: string): Promise<never> {
    await this.#options.metastore.sync();
    throw new SociError(
      "already-exists",
      `target snapshot ${JSON.stringify(target)}: already exists`,
    );
  }

  /** Whether the target is there, so that containerd finds it. */
  #hasTarget(layer: LayerToPrepare, log: Logger): boolean {
    const { metastore, events } = this.#options;
    const parent = metastore.parentOf(layer);
    const found = metastore.find(layer.target);
    // containerd looks for a committed one with this label, over this parent.
    if (
      found?.layers === undefined ||
      found.parent?.id !== parent?.id ||
      found.labels[REF_LABEL] !== layer.target
    ) {
      return false;
    }
    log.info("remote snapshot successfully prepared.", { [REMOTE]: "true" });
    events.layerServed?.({ isWhole: false });
    return true;
  }

  #whyNotHere(
    layer: LayerToPrepare,
  ): { readonly reason: RefusalReason; readonly detail: string } | undefined {
    const { metastore } = this.#options;
    const parent = metastore.parentOf(layer);
    if (parent !== undefined && parent.layers === undefined) {
      return { reason: "not-served-parent", detail: "the layer below was unpacked" };
    }
    if (parent !== undefined && isWholeImage(layer)) {
      return { reason: "not-served-parent", detail: "a whole image stands on nothing" };
    }
    if (metastore.find(layer.target) !== undefined) {
      return { reason: "internal", detail: "another snapshot has the name of the target" };
    }
    return undefined;
  }

  #commit(
    layer: LayerToPrepare,
    { layers, isWhole, hasIndex }: Extract<ImageAnswer, { kind: "served" }>,
    log: Logger,
  ): void {
    const { metastore, mounter, events } = this.#options;
    const { target, parent, labels } = layer;
    try {
      const snapshot = metastore.createServed(
        {
          name: target,
          parent,
          labels: {
            ...labels,
            [REMOTE_LABEL]: REMOTE_LABEL_VALUE,
            [NAMESPACE_LABEL]: layer.namespace ?? "",
            ...(hasIndex ? { [HAS_INDEX_LABEL]: "true" } : {}),
          },
        },
        layers,
      );
      for (const served of layers) mounter.holdLayer(holderOf(snapshot), served);
    } catch (error) {
      log.warn("failed to internally commit remote snapshot", { [REMOTE]: "false", error });
      throw error;
    }
    if (isWhole) {
      log.info("local snapshot successfully prepared.", { [LOCAL]: "true" });
    } else {
      log.info("remote snapshot successfully prepared.", { [REMOTE]: "true" });
    }
    events.layerServed?.({ isWhole });
  }

  async #ask(
    layer: LayerToPrepare,
    request: LayerRequest,
    wait: WaitOptions,
  ): Promise<ImageAnswer> {
    const { mounter } = this.#options;
    const { target } = layer;
    if (isWholeImage(layer)) return await mounter.prepareImage(request, { target, ...wait });
    const answer = await mounter.prepareLayer(request, wait);
    if (answer.kind === "refused") return answer;
    const { layer: served, ...rest } = answer;
    return { ...rest, layers: [served] };
  }

  #reportFailure({ reason, detail }: Extract<ImageAnswer, { kind: "refused" }>, log: Logger): void {
    const level = ORDINARY.has(reason) ? "info" : "warn";
    log[level]("failed to prepare remote snapshot", { [REMOTE]: "false", reason, error: detail });
  }

  #defer(reason: RefusalReason, detail: string, log: Logger): void {
    log.info("deferring to container runtime", { [DEFERRED]: "true", reason, detail });
    this.#options.events.layerRefused?.(reason);
  }
}

function isWholeImage({ labels }: LayerToPrepare): boolean {
  return labels[WHOLE_IMAGE_LABEL] === "true";
}
