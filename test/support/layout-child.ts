import { LayoutWriter } from "../../src/oci/layout-writer.ts";

// A process that writes blobs and index entries into a layout, until it is killed or has made so many.
const [dir = "", name = "", count = "1000000"] = process.argv.slice(2);
await using layout = await LayoutWriter.open(dir);
for (let number = 0; number < Number(count); number++) {
  const text = `${name} ${number} `.repeat(5000);
  const descriptor = await layout.putBytes(
    "application/vnd.oci.image.manifest.v1+json",
    new TextEncoder().encode(text),
  );
  await layout.addToIndex(descriptor);
  if (number === 0) {
    process.stdout.write("ready\n");
  }
}
