import type { FuseNegotiated } from "../fuse/init.ts";
import type { JsonObject } from "../oci/json-document.ts";

/** What INIT settled, out of a record. @throws data-loss */
export function negotiatedOf(json: JsonObject): FuseNegotiated {
  return {
    minor: json.size("minor"),
    kernelMinor: json.size("kernelMinor"),
    flags: json.size("flags"),
    flags2: json.size("flags2"),
    maxReadahead: json.size("maxReadahead"),
    maxRead: json.size("maxRead"),
    maxBackground: json.size("maxBackground"),
  };
}
