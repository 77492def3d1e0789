import { byteNameOfText } from "../../tree/byte-name.ts";
import type { FileTree } from "../../tree/file-tree.ts";
import { resolvePath } from "../../tree/resolve-path.ts";
import type { OutputStream } from "../cli-io.ts";
import { defineCommand } from "../command.ts";
import { IMAGE_ARG } from "../image-flags.ts";
import type { Listing } from "../list-tree.ts";
import { listTree } from "../list-tree.ts";
import { paintOf } from "../colors.ts";
import { formatListing, jsonOfFile } from "../format-listing.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { safeJson } from "../safe-json.ts";
import { VIEW_FLAGS, viewImage } from "../view-image.ts";

export const lsCommand = defineCommand({
  name: "ls",
  summary: "List files of an image",
  description:
    "Shows the image as a container would see it, all layers merged: whiteouts applied, symlinks followed inside the image. With a SOCI index no file's content is fetched.",
  examples: [
    {
      command: "sociable ls -l registry.example.com/team/app:1.4 /etc",
      explanation: "List a directory with modes, owners, sizes and times (UTC)",
    },
    {
      command: "sociable ls -R --json oci:./app",
      explanation: "Everything in an image, for scripts",
    },
  ],
  args: [
    IMAGE_ARG,
    { name: "path", required: false, description: "Directory or file; the root by default" },
  ],
  flags: {
    long: {
      type: "boolean",
      short: "l",
      description: "Modes, links, owners, sizes, times, targets",
    },
    recursive: { type: "boolean", short: "R", description: "List directories and all below them" },
    json: {
      type: "boolean",
      description: "Print a JSON array of objects: path, type, mode, uid, gid, size, mtime, …",
    },
    ...PAGER_FLAG,
    ...VIEW_FLAGS,
  },
  async run(context) {
    const { args, flags, io } = context;
    await viewImage(context, async ({ tree }) => {
      const listings = listingsOf(tree, args.path ?? "/", flags);
      await withPager({ io, flags }, async (out) => {
        if (flags.json) await writeJsonOf(tree, listings, out);
        else {
          const options = { ...flags, isTty: out.isTty, paint: paintOf(io) };
          for (const listing of listings) await out.write(formatListing(tree, listing, options));
        }
      });
    });
  },
});

/** Entry by entry: an image has more files than one text should hold. */
async function writeJsonOf(
  tree: FileTree,
  listings: Iterable<Listing>,
  out: OutputStream,
): Promise<void> {
  let separator = "[\n";
  for (const { files } of listings) {
    for (const file of files) {
      const json = JSON.stringify(jsonOfFile(tree, file));
      await out.write(`${separator}  ${out.isTty ? safeJson(json) : json}`);
      separator = ",\n";
    }
  }
  await out.write(separator === "[\n" ? "[]\n" : "\n]\n");
}

function listingsOf(
  tree: FileTree,
  path: string,
  { long, recursive }: { readonly long: boolean; readonly recursive: boolean },
): Iterable<Listing> {
  // As ls(1): a symlink on the command line is followed, unless its own attributes are asked for.
  const resolved = resolvePath(tree, byteNameOfText(path), { followLast: !long });
  return listTree(tree, resolved, { recursive });
}
