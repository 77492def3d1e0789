import { closeSync, constants, openSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";
import { LayerGeometry } from "./layer-geometry.ts";
import { LiveMap } from "./live-map.ts";
import { WINDOW_BYTES } from "./geometry-format.ts";

/**
 * What another thread needs to open a cached layer; it may be posted. The descriptors are those of
 * the CachedLayer, which must stay open until the other thread has opened them for itself.
 */
export interface LayerHandle {
  readonly digest: Digest;
  readonly geometry: SharedArrayBuffer;
  readonly geometryFd: number;
  readonly dataFd: number;
  readonly liveFd: number;
}

/** A cached layer as one thread has it open: for LayerReader, SpanWriter and the windows. */
export class LayerFiles implements Disposable {
  readonly digest: Digest;
  readonly geometry: LayerGeometry;
  readonly live: LiveMap;
  readonly dataFd: number;
  readonly #geometryFd: number;
  #isOpen = true;

  private constructor(handle: LayerHandle) {
    this.digest = handle.digest;
    this.geometry = new LayerGeometry(handle.geometry);
    this.live = new LiveMap(Bun.mmap(pathOf(handle.liveFd)), this.geometry);
    this.dataFd = reopen(handle.dataFd, constants.O_RDWR);
    try {
      this.#geometryFd = reopen(handle.geometryFd, constants.O_RDONLY);
    } catch (error) {
      closeSync(this.dataFd);
      throw error;
    }
  }

  /** Opens for this thread what the handle's descriptors refer to, also when it has no name any more. */
  static open(handle: LayerHandle): LayerFiles {
    return new LayerFiles(handle);
  }

  /** The window of a gzip span, newly read. @throws data-loss */
  window(span: number, into: Uint8Array = new Uint8Array(WINDOW_BYTES)): Uint8Array {
    this.geometry.readWindow(this.#geometryFd, span, into);
    return into;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.dataFd);
    closeSync(this.#geometryFd);
  }
}

// A new open file of the same inode: closing either leaves the other alone.
function reopen(fd: number, flags: number): number {
  return openSync(pathOf(fd), flags);
}

function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
