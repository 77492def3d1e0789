import { isKind, SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { checkSpans } from "../../ztoc/check-spans.ts";
import { decodeZtoc } from "../../ztoc/decode-ztoc.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";
import type { SociStore } from "./soci-store.ts";

/** A zTOC of the store. @throws not-found, data-loss, in the Go tool's words where it has any */
export async function readSociZtoc(
  store: Pick<SociStore, "readZtoc">,
  digest: Digest,
): Promise<{ readonly ztoc: Ztoc; readonly size: number }> {
  const bytes = await store.readZtoc(digest);
  try {
    const ztoc = decodeZtoc(bytes);
    const fault = checkSpans(ztoc);
    if (fault !== undefined) throw new SociError("data-loss", fault);
    return { ztoc, size: bytes.length };
  } catch (cause) {
    if (!isKind(cause, "data-loss", "unsupported")) throw cause;
    throw new SociError(cause.kind, `cannot unmarshal ztoc: ${cause.message}`, { cause });
  }
}
