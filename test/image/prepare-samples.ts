import { digestOf } from "../../src/oci/digest.ts";
import { type BuiltLayer, buildImage, buildLayer, imageOf } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

/** Two layers of one image: the upper takes away a file of the lower. */
const content = sampleBytes(400_000);
export const lower = await buildLayer({
  entries: [
    { name: "a", content },
    { name: "gone", content: "x" },
  ],
});
export const upper = await buildLayer({
  entries: [
    { name: ".wh.gone", content: "" },
    { name: "b", type: "symlink", linkname: "a" },
  ],
});
export const image = imageOf([lower, upper]);

/** Three layers of a file each. */
export const three = await buildImage({
  layers: ["a", "b", "c"].map((name) => ({ entries: [{ name, content: name.repeat(5000) }] })),
});

/** The last parts of the paths that were asked for. */
export function blobsAsked(requests: readonly { readonly path: string }[]): readonly string[] {
  return requests.map(({ path }) => path.split("/").at(-1) ?? "");
}

/** A layer's blob that is other than its tar says. */
export function blobOf(bytes: Uint8Array): Pick<BuiltLayer, "bytes" | "descriptor"> {
  const { mediaType } = lower.descriptor;
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}
