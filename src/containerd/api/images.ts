import { API_DESCRIPTOR, type ApiDescriptor } from "./descriptor.ts";
import { FIELD_MASK, type FieldMask } from "./field-mask.ts";
import { EMPTY, field, message } from "./protobuf.ts";
import { method } from "./service.ts";
import { TIMESTAMP, type Timestamp } from "./timestamp.ts";

// https://github.com/containerd/containerd/blob/main/api/services/images/v1/images.proto

/** containerd.services.images.v1.Image */
export interface ImageRecord {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: ApiDescriptor | undefined;
  readonly createdAt: Timestamp | undefined;
  readonly updatedAt: Timestamp | undefined;
}

export const IMAGE_RECORD = message<ImageRecord>("Image", {
  name: field.string(1),
  labels: field.map(2),
  target: field.message(3, API_DESCRIPTOR),
  createdAt: field.message(7, TIMESTAMP),
  updatedAt: field.message(8, TIMESTAMP),
});

export interface ImageNameRequest {
  readonly name: string;
}

const GET_IMAGE_REQUEST = message<ImageNameRequest>("GetImageRequest", { name: field.string(1) });

export interface ImageMessage {
  readonly image: ImageRecord | undefined;
}

/** The request of Create, and the answers of Get, Create and Update. */
const IMAGE_MESSAGE = message<ImageMessage>("ImageMessage", {
  image: field.message(1, IMAGE_RECORD),
});

export interface UpdateImageRequest {
  readonly image: ImageRecord | undefined;
  readonly updateMask: FieldMask | undefined;
}

const UPDATE_IMAGE_REQUEST = message<UpdateImageRequest>("UpdateImageRequest", {
  image: field.message(1, IMAGE_RECORD),
  updateMask: field.message(2, FIELD_MASK),
});

export interface ListImagesRequest {
  readonly filters: readonly string[];
}

const LIST_IMAGES_REQUEST = message<ListImagesRequest>("ListImagesRequest", {
  filters: field.strings(1),
});

export interface ListImagesResponse {
  readonly images: readonly ImageRecord[];
}

const LIST_IMAGES_RESPONSE = message<ListImagesResponse>("ListImagesResponse", {
  images: field.messages(1, IMAGE_RECORD),
});

export interface DeleteImageRequest {
  readonly name: string;
  /** Answer only when what nothing needs any more has been collected. */
  readonly sync: boolean;
}

const DELETE_IMAGE_REQUEST = message<DeleteImageRequest>("DeleteImageRequest", {
  name: field.string(1),
  sync: field.bool(2),
});

const service = "containerd.services.images.v1.Images";

export const IMAGES_SERVICE = {
  get: method(service, "Get", { request: GET_IMAGE_REQUEST, response: IMAGE_MESSAGE }),
  list: method(service, "List", { request: LIST_IMAGES_REQUEST, response: LIST_IMAGES_RESPONSE }),
  create: method(service, "Create", { request: IMAGE_MESSAGE, response: IMAGE_MESSAGE }),
  update: method(service, "Update", { request: UPDATE_IMAGE_REQUEST, response: IMAGE_MESSAGE }),
  delete: method(service, "Delete", { request: DELETE_IMAGE_REQUEST, response: EMPTY }),
} as const;
