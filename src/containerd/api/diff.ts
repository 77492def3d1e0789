import { API_DESCRIPTOR, type ApiDescriptor } from "./descriptor.ts";
import { MOUNT, type Mount } from "./mount.ts";
import { field, message } from "./protobuf.ts";
import { method } from "./service.ts";

// https://github.com/containerd/containerd/blob/main/api/services/diff/v1/diff.proto

/** Without the payloads of stream processors. */
export interface ApplyRequest {
  readonly diff: ApiDescriptor | undefined;
  readonly mounts: readonly Mount[];
}

const APPLY_REQUEST = message<ApplyRequest>("ApplyRequest", {
  diff: field.message(1, API_DESCRIPTOR),
  mounts: field.messages(2, MOUNT),
});

export interface ApplyResponse {
  /** The uncompressed layer. */
  readonly applied: ApiDescriptor | undefined;
}

const APPLY_RESPONSE = message<ApplyResponse>("ApplyResponse", {
  applied: field.message(1, API_DESCRIPTOR),
});

export const DIFF_SERVICE = {
  apply: method("containerd.services.diff.v1.Diff", "Apply", {
    request: APPLY_REQUEST,
    response: APPLY_RESPONSE,
  }),
} as const;
