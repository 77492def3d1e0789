import { field, message } from "./protobuf.ts";

// https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto
// v1alpha2 has the same messages. Only what we look at is here: a proxy passes the bytes on as they came.

/** Of the services that kubelet speaks to; both have the same methods. */
export const CRI_IMAGE_SERVICES = [
  "runtime.v1.ImageService",
  "runtime.v1alpha2.ImageService",
] as const;

export const CRI_IMAGE_METHODS = [
  "ListImages",
  "ImageStatus",
  "PullImage",
  "RemoveImage",
  "ImageFsInfo",
] as const;

/** Of a method of either service, as in `/runtime.v1.ImageService/PullImage`. */
export function criImagePath(
  service: (typeof CRI_IMAGE_SERVICES)[number],
  method: (typeof CRI_IMAGE_METHODS)[number],
): string {
  return `/${service}/${method}`;
}

export interface CriImageSpec {
  readonly image: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly userSpecifiedImage: string;
}

export const CRI_IMAGE_SPEC = message<CriImageSpec>("ImageSpec", {
  image: field.string(1),
  annotations: field.map(2),
  userSpecifiedImage: field.string(18),
});

/** A login that came with a pull. Secret but for the user and the server. */
export interface CriAuthConfig {
  readonly username: string;
  readonly password: string;
  /** Base64 of `user:password`, when those two are empty. */
  readonly auth: string;
  /** As docker's config spells servers; empty for whatever registry the image is of. */
  readonly serverAddress: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

export const CRI_AUTH_CONFIG = message<CriAuthConfig>("AuthConfig", {
  username: field.string(1),
  password: field.string(2),
  auth: field.string(3),
  serverAddress: field.string(4),
  identityToken: field.string(5),
  registryToken: field.string(6),
});

/** Without the sandbox's configuration. */
export interface PullImageRequest {
  readonly image: CriImageSpec | undefined;
  readonly auth: CriAuthConfig | undefined;
}

export const PULL_IMAGE_REQUEST = message<PullImageRequest>("PullImageRequest", {
  image: field.message(1, CRI_IMAGE_SPEC),
  auth: field.message(2, CRI_AUTH_CONFIG),
});

export interface PullImageResponse {
  readonly imageRef: string;
}

export const PULL_IMAGE_RESPONSE = message<PullImageResponse>("PullImageResponse", {
  imageRef: field.string(1),
});

export interface RemoveImageRequest {
  readonly image: CriImageSpec | undefined;
}

export const REMOVE_IMAGE_REQUEST = message<RemoveImageRequest>("RemoveImageRequest", {
  image: field.message(1, CRI_IMAGE_SPEC),
});
