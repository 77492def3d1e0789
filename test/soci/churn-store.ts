// Run as a process of its own until it is killed: puts and removes artifacts in the store at the first argument.
import { isKind } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { openLocalStore } from "../../src/soci/local-store.ts";

const [root = ""] = process.argv.slice(2);
await using store = await openLocalStore({ root });
process.stdout.write("ready\n");
for (let round = 0; ; round++) {
  try {
    await churn(round);
  } catch (error) {
    // Another one removed what this one had just put.
    if (!isKind(error, "unavailable")) throw error;
  }
}

async function churn(round: number): Promise<void> {
  const name = `${round % 5}`;
  const layer = { mediaType: "m", digest: digestOf(`layer ${name}`), size: 1 };
  const bytes = Buffer.alloc(50_000, name);
  const { digest, size } = await store.putZtoc(
    [bytes.subarray(0, 20_000), bytes.subarray(20_000)],
    {
      layer: layer.digest,
      spanSize: 64,
    },
  );
  const ztoc = { digest, size, layer, spanSize: 64, disableXattrs: false };
  const imageManifest = { mediaType: OCI_MANIFEST, digest: digestOf(`image ${name}`), size: 1 };
  const index = await store.putIndex(buildSociIndex([ztoc], { version: "v1", imageManifest }), {
    imageManifest: imageManifest.digest,
    imageDigest: imageManifest.digest,
    platform: "linux/amd64",
    imageName: name,
  });
  if (round % 2 === 1) {
    await store.remove(index.digest);
    await store.remove(digest);
  }
}
