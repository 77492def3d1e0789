import type { Ztoc } from "./ztoc.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Why a file of a decoded zTOC cannot be read, or undefined: its data must end where the tar does. */
export function checkFileEnds({ files, uncompressedArchiveSize }: Ztoc): string | undefined {
  // Files lie one behind the other: those that end last come last.
  for (let i = files.length - 1; i >= 0; i--) {
    const file = files[i];
    if (file === undefined) break;
    const end = file.uncompressedOffset + file.uncompressedSize;
    // Sizes of directories and links are nobody's bytes, and builders of zTOCs keep them.
    if (file.type === "reg" && end > uncompressedArchiveSize) {
      return `file ${JSON.stringify(decoder.decode(file.name.subarray(0, 200)))} ends at byte ${end}, want <= ${uncompressedArchiveSize}, where the layer ends`;
    }
    if (file.uncompressedOffset <= uncompressedArchiveSize) break;
  }
  return undefined;
}
