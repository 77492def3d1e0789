import { EMPTY, field, message } from "./protobuf.ts";
import { method } from "./service.ts";

// https://github.com/containerd/containerd/blob/main/api/services/version/v1/version.proto

export interface VersionResponse {
  readonly version: string;
  readonly revision: string;
}

const VERSION_RESPONSE = message<VersionResponse>("VersionResponse", {
  version: field.string(1),
  revision: field.string(2),
});

export const VERSION_SERVICE = {
  version: method("containerd.services.version.v1.Version", "Version", {
    request: EMPTY,
    response: VERSION_RESPONSE,
  }),
} as const;
