import { FIELD_MASK, type FieldMask } from "./field-mask.ts";
import { EMPTY, field, message } from "./protobuf.ts";
import { method } from "./service.ts";
import { TIMESTAMP, type Timestamp } from "./timestamp.ts";

// https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto

/** containerd.services.content.v1.Info */
export interface ContentInfo {
  readonly digest: string;
  readonly size: number;
  readonly createdAt: Timestamp | undefined;
  readonly updatedAt: Timestamp | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export const CONTENT_INFO = message<ContentInfo>("Info", {
  digest: field.string(1),
  size: field.int64(2),
  createdAt: field.message(3, TIMESTAMP),
  updatedAt: field.message(4, TIMESTAMP),
  labels: field.map(5),
});

export interface ContentDigestRequest {
  readonly digest: string;
}

/** The request of Info and Delete. */
export const CONTENT_DIGEST_REQUEST = message<ContentDigestRequest>("ContentDigestRequest", {
  digest: field.string(1),
});

export interface ContentInfoResponse {
  readonly info: ContentInfo | undefined;
}

/** The answer of Info and Update. */
export const CONTENT_INFO_RESPONSE = message<ContentInfoResponse>("ContentInfoResponse", {
  info: field.message(1, CONTENT_INFO),
});

export interface UpdateContentRequest {
  readonly info: ContentInfo | undefined;
  readonly updateMask: FieldMask | undefined;
}

export const UPDATE_CONTENT_REQUEST = message<UpdateContentRequest>("UpdateRequest", {
  info: field.message(1, CONTENT_INFO),
  updateMask: field.message(2, FIELD_MASK),
});

export interface ListContentRequest {
  readonly filters: readonly string[];
}

export const LIST_CONTENT_REQUEST = message<ListContentRequest>("ListContentRequest", {
  filters: field.strings(1),
});

export interface ListContentResponse {
  readonly info: readonly ContentInfo[];
}

export const LIST_CONTENT_RESPONSE = message<ListContentResponse>("ListContentResponse", {
  info: field.messages(1, CONTENT_INFO),
});

export interface ReadContentRequest {
  readonly digest: string;
  readonly offset: number;
  /** 0: to the end. */
  readonly size: number;
}

export const READ_CONTENT_REQUEST = message<ReadContentRequest>("ReadContentRequest", {
  digest: field.string(1),
  offset: field.int64(2),
  size: field.int64(3),
});

export interface ReadContentResponse {
  readonly offset: number;
  readonly data: Uint8Array;
}

export const READ_CONTENT_RESPONSE = message<ReadContentResponse>("ReadContentResponse", {
  offset: field.int64(1),
  data: field.bytes(2),
});

export interface ContentRefRequest {
  readonly ref: string;
}

/** The request of Status and Abort. */
export const CONTENT_REF_REQUEST = message<ContentRefRequest>("ContentRefRequest", {
  ref: field.string(1),
});

/** A write that is under way. */
export interface IngestStatus {
  readonly startedAt: Timestamp | undefined;
  readonly updatedAt: Timestamp | undefined;
  readonly ref: string;
  readonly offset: number;
  readonly total: number;
  readonly expected: string;
}

const INGEST_STATUS = message<IngestStatus>("Status", {
  startedAt: field.message(1, TIMESTAMP),
  updatedAt: field.message(2, TIMESTAMP),
  ref: field.string(3),
  offset: field.int64(4),
  total: field.int64(5),
  expected: field.string(6),
});

export interface StatusResponse {
  readonly status: IngestStatus | undefined;
}

export const STATUS_RESPONSE = message<StatusResponse>("StatusResponse", {
  status: field.message(1, INGEST_STATUS),
});

const WRITE_ACTIONS = ["stat", "write", "commit"] as const;
export type WriteAction = (typeof WRITE_ACTIONS)[number];

export interface WriteContentRequest {
  readonly action: WriteAction;
  readonly ref: string;
  readonly total: number;
  readonly expected: string;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly labels: Readonly<Record<string, string>>;
}

export const WRITE_CONTENT_REQUEST = message<WriteContentRequest>("WriteContentRequest", {
  action: field.enum(1, WRITE_ACTIONS),
  ref: field.string(2),
  total: field.int64(3),
  expected: field.string(4),
  offset: field.int64(5),
  data: field.bytes(6),
  labels: field.map(7),
});

export interface WriteContentResponse {
  readonly action: WriteAction;
  readonly startedAt: Timestamp | undefined;
  readonly updatedAt: Timestamp | undefined;
  readonly offset: number;
  readonly total: number;
  readonly digest: string;
}

export const WRITE_CONTENT_RESPONSE = message<WriteContentResponse>("WriteContentResponse", {
  action: field.enum(1, WRITE_ACTIONS),
  startedAt: field.message(2, TIMESTAMP),
  updatedAt: field.message(3, TIMESTAMP),
  offset: field.int64(4),
  total: field.int64(5),
  digest: field.string(6),
});

const name = "containerd.services.content.v1.Content";

export const CONTENT_SERVICE = {
  info: method(name, "Info", { request: CONTENT_DIGEST_REQUEST, response: CONTENT_INFO_RESPONSE }),
  update: method(name, "Update", {
    request: UPDATE_CONTENT_REQUEST,
    response: CONTENT_INFO_RESPONSE,
  }),
  list: method(name, "List", {
    request: LIST_CONTENT_REQUEST,
    response: LIST_CONTENT_RESPONSE,
    streaming: "response",
  }),
  delete: method(name, "Delete", { request: CONTENT_DIGEST_REQUEST, response: EMPTY }),
  read: method(name, "Read", {
    request: READ_CONTENT_REQUEST,
    response: READ_CONTENT_RESPONSE,
    streaming: "response",
  }),
  status: method(name, "Status", { request: CONTENT_REF_REQUEST, response: STATUS_RESPONSE }),
  write: method(name, "Write", {
    request: WRITE_CONTENT_REQUEST,
    response: WRITE_CONTENT_RESPONSE,
    streaming: "both",
  }),
  abort: method(name, "Abort", { request: CONTENT_REF_REQUEST, response: EMPTY }),
} as const;
