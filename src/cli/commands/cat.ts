import { SociError } from "../../errors.ts";
import { WasmEngine } from "../../deflate/wasm-engine.ts";
import { FileReader } from "../../image/file-reader.ts";
import { byteNameOfText } from "../../tree/byte-name.ts";
import type { Content, FileTree } from "../../tree/file-tree.ts";
import { resolvePath } from "../../tree/resolve-path.ts";
import { defineCommand } from "../command.ts";
import { IMAGE_ARG } from "../image-flags.ts";
import { VIEW_FLAGS, viewImage } from "../view-image.ts";

export const catCommand = defineCommand({
  name: "cat",
  summary: "Print files of an image, fetching only what they need",
  description:
    "Finds the image's SOCI index and fetches the spans that hold the files, several at once, each verified; symlinks are followed inside the image. An image without an index is read whole, which is said.",
  examples: [
    {
      command: "sociable cat registry.example.com/team/app:1.4 /etc/os-release",
      explanation: "Print one file of an image that nobody has pulled",
    },
    {
      command: "sociable cat --stats localhost:5000/app /usr/bin/app > app",
      explanation: "Save a file, and see how few bytes it took",
    },
    {
      command:
        "sociable cat --hosts-dir /etc/containerd/certs.d registry.example.com/team/app:1.4 /app.conf",
      explanation: "By way of the mirrors that containerd uses",
    },
  ],
  args: [
    IMAGE_ARG,
    { name: "path", required: true, repeatable: true, description: "Files to print, in order" },
  ],
  flags: VIEW_FLAGS,
  async run(context) {
    const { args, io, log, signal } = context;
    await viewImage(context, async ({ tree, layers }, source) => {
      // All paths are looked up before the first byte is printed.
      const contents = args.path.map((path) => contentOf(tree, path));
      const engine = () => new WasmEngine();
      await using reader = new FileReader(contents, { source, layers, engine, log, signal });
      for (const i of contents.keys()) {
        for await (const bytes of reader.read(i)) await io.stdout.write(bytes);
      }
    });
  },
});

function contentOf(tree: FileTree, path: string): Content {
  const { node } = resolvePath(tree, byteNameOfText(path));
  const content = tree.content(node);
  if (content !== undefined) return content;
  const { type } = tree.attributes(node);
  throw new SociError(
    "invalid-argument",
    `Cannot print ${JSON.stringify(path)}: it is a ${NAMES[type] ?? type}, want a regular file`,
    type === "dir" ? { hint: "List it with sociable ls" } : {},
  );
}

const NAMES: Readonly<Record<string, string>> = {
  dir: "directory",
  char: "character device",
  block: "block device",
};
