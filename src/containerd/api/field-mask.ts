import { field, message } from "./protobuf.ts";

/** google.protobuf.FieldMask: which fields an update is about; none is all that can change. */
export interface FieldMask {
  readonly paths: readonly string[];
}

export const FIELD_MASK = message<FieldMask>("FieldMask", { paths: field.strings(1) });
