import { LayerTables } from "../image/layer-tables.ts";
import { warmTables } from "../image/warm-tables.ts";
import type { TablesAnswer, TablesRequest } from "./tables-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<TablesRequest>) => void) | null;
  postMessage(message: TablesAnswer): void;
};

let tables: LayerTables | undefined;

async function handle(request: TablesRequest): Promise<string | undefined> {
  if (request.kind === "open") {
    tables = new LayerTables({ cacheRoot: request.cacheRoot });
    return undefined;
  }
  if (tables === undefined) throw new Error(`"${request.kind}" before "open"`);
  if (request.kind === "ztoc") {
    return await tables.addZtoc(request, new Uint8Array(request.ztoc));
  }
  if (request.kind === "cached") await tables.addCached(request.digest);
  else await tables.merge(request.layers, request.path);
  return undefined;
}

// Turn by turn, so that a first question does not wait for all of it.
const warming = warmTables();
let isAsked = false;

function warm(): void {
  if (isAsked || warming.next().done === true) return;
  setImmediate(warm);
}

self.onmessage = ({ data }) => {
  if (data.kind !== "open") isAsked = true;
  handle(data).then(
    (fault) => {
      if (data.kind !== "open") self.postMessage({ kind: "done", fault });
    },
    (error: unknown) => self.postMessage({ kind: "failed", error: errorMessageOf(error) }),
  );
};

setImmediate(warm);
