import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { headBlob } from "./blob-download.ts";
import type { Descriptor } from "./descriptor.ts";
import { HttpError } from "./http-error.ts";
import { OCTET_STREAM } from "./media-types.ts";
import type { RepositoryName } from "./reference.ts";
import type { RegistryRequest, RegistrySession } from "./registry-session.ts";
import { retryWaitMs } from "./retry.ts";
import { uploadedBytes, uploadLocation, withDigest } from "./upload-location.ts";
import { type BlobOpener, UploadSource } from "./upload-source.ts";

export interface UploadOptions extends WaitOptions {
  readonly open: BlobOpener;
  /** A repository of the same registry that has the blob, perhaps: it is mounted from there, not sent. */
  readonly mountFrom?: RepositoryName | undefined;
  /** Send chunks of so many bytes; in one piece when not given, as long as the registry takes that. */
  readonly chunkBytes?: number | undefined;
  /** It is known that the repository lacks the blob: it is not asked for it again. */
  readonly isAbsent?: boolean | undefined;
}

const MiB = 1024 * 1024;
const CHUNK_BYTES = 16 * MiB;
const SMALLEST_CHUNK = MiB;
const CANCEL_MS = 5000;
// How registries answer that do not take a blob in one piece.
const NOT_IN_ONE_PIECE = [400, 405, 411, 413, 415, 416, 501];
// A mount that may not be, or is not known of: the blob is sent.
const NO_MOUNT = [400, 401, 403, 404, 405, 501];

/**
 * Puts a blob into a repository unless it is there; whether it was sent. An upload that breaks goes
 * on where the registry has it; one that fails for good leaves no session where they can be ended.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
 * @throws data-loss when `open` gives other bytes than the descriptor says
 */
export async function uploadBlob(
  session: RegistrySession,
  blob: Descriptor,
  { open, mountFrom, chunkBytes, isAbsent = false, signal }: UploadOptions,
): Promise<boolean> {
  if (!isAbsent && (await headBlob(session, blob.digest, { signal })) === blob.size) {
    return false;
  }
  await using source = new UploadSource(blob, open);
  const upload = new BlobUpload(session, blob, { source, chunkBytes });
  if (mountFrom !== undefined && (await upload.mount(mountFrom, { signal }))) {
    return false;
  }
  try {
    await upload.run({ signal });
    return true;
  } catch (error) {
    await upload.cancel();
    throw error;
  }
}

/**
 * Has a repository take a blob over from another one of its registry, without its bytes being sent;
 * whether it did. Registries may refuse, and where they do nothing is left behind.
 */
export async function mountBlob(
  session: RegistrySession,
  blob: Descriptor,
  { from, signal }: WaitOptions & { readonly from: RepositoryName },
): Promise<boolean> {
  await using source = new UploadSource(blob, () => []);
  const upload = new BlobUpload(session, blob, { source, chunkBytes: undefined });
  if (await upload.mount(from, { signal })) return true;
  await upload.cancel();
  return false;
}

interface BlobUploadOptions {
  readonly source: UploadSource;
  readonly chunkBytes: number | undefined;
}

/** One blob on its way into a repository. */
class BlobUpload {
  readonly #session: RegistrySession;
  readonly #blob: Descriptor;
  readonly #source: UploadSource;
  #chunkBytes: number;
  /** The registry's minimum. */
  #leastChunk = 1;
  #inChunks: boolean;
  /** The registry's session for it; none before it has begun, or when it is lost. */
  #url: URL | undefined;
  /** What the registry holds. */
  #held = 0;
  #isDone = false;

  constructor(
    session: RegistrySession,
    blob: Descriptor,
    { source, chunkBytes }: BlobUploadOptions,
  ) {
    this.#session = session;
    this.#blob = blob;
    this.#source = source;
    this.#inChunks = chunkBytes !== undefined;
    this.#chunkBytes = chunkBytes ?? CHUNK_BYTES;
  }

  /** Whether the registry took the blob over from another repository; if not, the upload may have begun. */
  async mount(from: RepositoryName, options: WaitOptions): Promise<boolean> {
    const query = `mount=${encodeURIComponent(this.#blob.digest)}&from=${encodeURIComponent(from)}`;
    try {
      const path = `blobs/uploads/?${query}`;
      return (await this.#begin(path, { ...options, alsoPulls: from })) === 201;
    } catch (error) {
      if (!(error instanceof HttpError) || !NO_MOUNT.includes(error.status ?? 0)) {
        throw error;
      }
      this.#session.log.debug("blob cannot be mounted", { digest: this.#blob.digest, error });
      return false;
    }
  }

  async run({ signal }: WaitOptions): Promise<void> {
    let retries = 0;
    let since = performance.now();
    while (!this.#isDone) {
      if (this.#url === undefined) {
        await this.#begin("blobs/uploads/", { signal });
      }
      const before = this.#held;
      try {
        await this.#sendRest({ signal });
        this.#isDone = true;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof HttpError)) {
          throw error;
        }
        if (await this.#takeAnotherWay(error)) {
          continue;
        }
        if (this.#held > before) {
          retries = 0;
          since = performance.now();
        }
        const { retryAfterMs } = error;
        const elapsedMs = performance.now() - since;
        const waitMs = retryWaitMs(this.#session.retryPolicy, { retries, retryAfterMs, elapsedMs });
        if (!isWorthAnother(error) || waitMs === undefined) {
          throw error;
        }
        retries += 1;
        const { digest } = this.#blob;
        this.#session.log.debug("upload will go on", { digest, held: this.#held, error, waitMs });
        await delay(waitMs, { signal });
        await this.#findOut({ signal });
      }
    }
  }

  /** Ends the registry's session, best effort: the caller's failure is what matters. */
  async cancel(): Promise<void> {
    const url = this.#url;
    this.#url = undefined;
    this.#held = 0;
    if (url === undefined) {
      return;
    }
    // Not the caller's signal: it may be why we are here.
    const signal = AbortSignal.timeout(CANCEL_MS);
    try {
      await using _done = await this.#session.send({
        method: "DELETE",
        path: url,
        retry: false,
        signal,
      });
    } catch (error) {
      const { digest } = this.#blob;
      this.#session.log.debug("upload cannot be cancelled", { digest, error });
    }
  }

  /** Starts a session; the status, which is 201 when there is nothing left to send. */
  async #begin(
    path: string,
    { alsoPulls, signal }: Pick<RegistryRequest, "alsoPulls" | "signal">,
  ): Promise<number> {
    await using response = await this.#session.send({
      method: "POST",
      path,
      alsoPulls,
      body: { size: 0, open: () => [] },
      signal,
    });
    const { status, headers } = response;
    if (status !== 201) {
      this.#url = uploadLocation(response, "POST");
      this.#held = 0;
      const smallest = Number(headers.get("oci-chunk-min-length"));
      if (Number.isSafeInteger(smallest) && smallest > 0) {
        this.#leastChunk = smallest;
      }
    }
    return status;
  }

  async #sendRest({ signal }: WaitOptions): Promise<void> {
    const { size } = this.#blob;
    if (!this.#inChunks && this.#held === 0) {
      await this.#finish(0, { signal });
      return;
    }
    while (this.#held < size) {
      const chunk = Math.max(this.#chunkBytes, this.#leastChunk);
      await this.#sendChunk(Math.min(this.#held + chunk, size), { signal });
    }
    await this.#finish(size, { signal });
  }

  async #sendChunk(end: number, { signal }: WaitOptions): Promise<void> {
    const start = this.#held;
    const url = this.#target();
    await using response = await this.#session.send({
      method: "PATCH",
      path: url,
      headers: { "content-type": OCTET_STREAM, "content-range": `${start}-${end - 1}` },
      body: { size: end - start, open: () => this.#source.slice(start, end) },
      retry: false,
      signal,
    });
    this.#url = uploadLocation(response, "PATCH", url);
    const held = uploadedBytes(response.headers) ?? end;
    if (held <= start || held > end) {
      throw new HttpError({
        method: "PATCH",
        url: response.url,
        status: response.status,
        reason: `the registry holds ${held} bytes, want ${end}`,
        kind: "failed-precondition",
        temporary: false,
      });
    }
    this.#held = held;
  }

  /** The PUT that makes a blob of it, with all that the registry does not hold yet. */
  async #finish(start: number, { signal }: WaitOptions): Promise<void> {
    const { digest, size } = this.#blob;
    await using _done = await this.#session.send({
      method: "PUT",
      path: withDigest(this.#target(), digest),
      headers: { "content-type": OCTET_STREAM },
      // Checked as it leaves: wrong bytes never become a whole request.
      body: { size: size - start, open: () => this.#source.slice(start, size) },
      retry: false,
      signal,
    });
  }

  /** Whether something else can be tried at once after this failure. */
  async #takeAnotherWay({ method, status = 0, code }: HttpError): Promise<boolean> {
    const isRefusal = NOT_IN_ONE_PIECE.includes(status) && code !== "DIGEST_INVALID";
    if (method === "PUT" && !this.#inChunks && this.#blob.size > 0 && isRefusal) {
      await this.cancel();
      this.#inChunks = true;
      return true;
    }
    if (method === "PATCH" && status === 413) {
      const least = Math.max(SMALLEST_CHUNK, this.#leastChunk);
      const smaller = Math.max(least, Math.floor(this.#chunkBytes / 4));
      const isSmaller = smaller < this.#chunkBytes;
      this.#chunkBytes = smaller;
      if (isSmaller) {
        await this.cancel();
      }
      return isSmaller;
    }
    return false;
  }

  /** Asks what has become of an upload that broke. */
  async #findOut({ signal }: WaitOptions): Promise<void> {
    const url = this.#target();
    try {
      await using response = await this.#session.send({ method: "GET", path: url, signal });
      const held = uploadedBytes(response.headers);
      if (held !== undefined && held <= this.#blob.size) {
        this.#url = uploadLocation(response, "GET", url);
        this.#held = held;
        this.#inChunks ||= held > 0;
        return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpError) || error.temporary) {
        throw error;
      }
    }
    // No such session: it was lost, or it has become the blob and only the answer was lost.
    const size = await headBlob(this.#session, this.#blob.digest, { signal });
    if (size === this.#blob.size) {
      this.#isDone = true;
    } else {
      await this.cancel();
    }
  }

  #target(): URL {
    if (this.#url === undefined) {
      throw new Error("the upload has not begun");
    }
    return this.#url;
  }
}

// An upload that the registry knows no more, or knows to be somewhere else, is as good as broken.
function isWorthAnother({ method, status, temporary }: HttpError): boolean {
  return (
    temporary ||
    ((method === "PUT" || method === "PATCH") && status === 404) ||
    (method === "PATCH" && status === 416)
  );
}
