import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { FileReader } from "../../src/image/file-reader.ts";
import { openImage, type OpenImageOptions } from "../../src/image/open-image.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { byteNameOfText } from "../../src/tree/byte-name.ts";
import { resolvePath } from "../../src/tree/resolve-path.ts";
import { addImage, type BuiltImage, type BuiltIndex } from "../support/image-builder.ts";
import { buildZtoc } from "../support/indexed-layer.ts";
import { TestRegistry } from "../support/registry.ts";

export interface PlacedImage extends AsyncDisposable {
  readonly registry: TestRegistry;
  /** The image's name. */
  readonly name: string;
}

/** A registry of its own that holds an image. */
export async function placeImage(image: BuiltImage | BuiltIndex): Promise<PlacedImage> {
  const registry = TestRegistry.start();
  await addImage(registry, "app", { image, tag: "v1" });
  return {
    registry,
    name: `${registry.host}/app:v1`,
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

/** An image opened, its log, and a way to read a file of it. */
export async function openPlaced(name: string, options: Partial<OpenImageOptions> = {}) {
  await using resources = new AsyncDisposableStack();
  const source = resources.use(await openImageSource(name));
  const records: LogRecord[] = [];
  const log = createLogger({ level: "warn", sink: (record) => records.push(record) });
  const engine = () => new WasmEngine();
  const opened = await openImage({ source, buildZtoc, engine, log, ...options });
  const owned = resources.move();
  /** @throws what reading throws */
  const read = async (path: string): Promise<Buffer> => {
    const { tree, layers } = opened;
    const content = tree.content(resolvePath(tree, byteNameOfText(path)).node);
    if (content === undefined) throw new Error(`${path} is no regular file`);
    await using reader = new FileReader([content], { source, layers, engine, log });
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader.read(0)) chunks.push(chunk.slice());
    return Buffer.concat(chunks);
  };
  return { ...opened, records, read, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
