import { field, message } from "./protobuf.ts";

/** containerd.types.Mount */
export interface Mount {
  /** Of the file system: overlay, bind. */
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export const MOUNT = message<Mount>("Mount", {
  type: field.string(1),
  source: field.string(2),
  target: field.string(3),
  options: field.strings(4),
});
