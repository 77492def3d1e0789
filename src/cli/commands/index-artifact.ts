import { SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import type { LocalStore } from "../../soci/local-store.ts";

/** Checks that the store lists a SOCI index of this digest. @throws not-found, failed-precondition when it is something else */
export function expectIndex({ artifacts }: Pick<LocalStore, "artifacts">, digest: Digest): void {
  const artifact = artifacts.get(digest);
  if (artifact === undefined) {
    throw new SociError(
      "not-found",
      `Cannot find SOCI index ${digest}: the local store does not list it`,
      { hint: "sociable index list shows the indexes that are there" },
    );
  }
  if (artifact.type === "soci_index") return;
  throw new SociError(
    "failed-precondition",
    `Cannot use ${digest} as a SOCI index: it is a ${artifact.type === "soci_layer" ? "zTOC" : "prefetch artifact"}`,
    artifact.type === "soci_layer" ? { hint: `use sociable ztoc info ${digest}` } : {},
  );
}
