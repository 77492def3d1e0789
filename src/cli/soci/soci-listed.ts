import type { Digest } from "../../oci/digest.ts";
import { SociError } from "../../errors.ts";
import type { Artifact } from "../../soci/artifact.ts";
import type { SociStore } from "./soci-store.ts";

/** An artifact of the list. @throws not-found, in the Go tool's words */
export function expectListed(
  { artifacts }: Pick<SociStore, "artifacts">,
  digest: Digest,
): Artifact {
  const artifact = artifacts.get(digest);
  if (artifact !== undefined) return artifact;
  // The Go tool's list is made with its first artifact.
  const isEmpty = artifacts.listAll().length === 0;
  throw new SociError(
    "not-found",
    isEmpty ? "soci_artifacts not found" : `couldn't retrieve artifact for ${digest}, not found`,
  );
}

/** One row for each digest, the newest: the Go tool knows no other. */
export function newestRows(artifacts: readonly Artifact[]): readonly Artifact[] {
  const newest = new Map<Digest, Artifact>();
  for (const artifact of artifacts) {
    const other = newest.get(artifact.digest);
    if (other === undefined || other.createdAt < artifact.createdAt) {
      newest.set(artifact.digest, artifact);
    }
  }
  return artifacts.filter((artifact) => newest.get(artifact.digest) === artifact);
}
