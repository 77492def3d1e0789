import type { Digest } from "./digest.ts";
import { HttpError } from "./http-error.ts";
import type { HttpResponse } from "./http-response.ts";

const RANGE = /^(?:bytes=)?0-(\d{1,16})$/;

/** Where an upload goes on: the Location of an answer, or where it was. @throws failed-precondition when there is none */
export function uploadLocation(response: HttpResponse, method: string, before?: URL): URL {
  const location = response.headers.get("location");
  const url =
    location === null && before !== undefined
      ? before
      : URL.parse(location ?? "", location === null ? undefined : response.url.href);
  const isSafe =
    url !== null && (url.protocol === "https:" || url.protocol === response.url.protocol);
  if (!isSafe) {
    throw new HttpError({
      method,
      url: response.url,
      status: response.status,
      reason: "the answer has no usable Location",
      kind: "failed-precondition",
      temporary: false,
    });
  }
  return url;
}

/** The URL that ends an upload. Appended as text: what the registry put into the query (it may be signed) stays as it is. */
export function withDigest(target: URL, digest: Digest): URL {
  const url = new URL(target);
  url.search = `${url.search === "" ? "?" : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

/**
 * How many bytes a registry holds of an upload, as its Range header says; `undefined` without a sound
 * one. `0-0` is what Docker's registry says when it holds nothing.
 * https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
 */
export function uploadedBytes(headers: Headers): number | undefined {
  const [, last] = RANGE.exec(headers.get("range")?.trim() ?? "") ?? [];
  const size = last === undefined || last === "0" ? Number(last) : Number(last) + 1;
  return Number.isSafeInteger(size) ? size : undefined;
}
