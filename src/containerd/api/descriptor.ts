import { field, message } from "./protobuf.ts";

/** containerd.types.Descriptor */
export interface ApiDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

export const API_DESCRIPTOR = message<ApiDescriptor>("Descriptor", {
  mediaType: field.string(1),
  digest: field.string(2),
  size: field.int64(3),
  annotations: field.map(5),
});
