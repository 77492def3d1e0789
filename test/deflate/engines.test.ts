import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { inflateEngineSuite } from "../suite/inflate-engine.ts";

inflateEngineSuite(
  () => new WasmEngine(),
  () => new PakoEngine(),
);
inflateEngineSuite(
  () => new PakoEngine(),
  () => new WasmEngine(),
);
