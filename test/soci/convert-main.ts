// Run as a process of its own: converts the layout at the first argument into the second one, with the
// state directory at the third, again and again, until it is killed.
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { LayoutDestination } from "../../src/oci/layout-destination.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { convertImage } from "../../src/soci/convert-image.ts";
import { openLocalStore } from "../../src/soci/local-store.ts";
import { localZtocFactory } from "../../src/ztoc/build-ztoc.ts";

const [from = "", to = "", root = ""] = process.argv.slice(2);
process.stdout.write("ready\n");
for (let spanSize = 4096; ; spanSize += 512) {
  await using source = await openImageSource(`oci:${from}`);
  await using destination = await LayoutDestination.open({ name: to, directory: to });
  await using sink = await openLocalStore({ root });
  await convertImage({
    source,
    destination,
    sink,
    platforms: "all",
    isListed: true,
    buildZtoc: localZtocFactory({ engine: () => new PakoEngine() }),
    parallel: 2,
    minLayerSize: 0,
    spanSize,
  });
}
