import { LayerTables } from "../image/layer-tables.ts";
import { warmTables } from "../image/warm-tables.ts";
import type { TablesAnswer, TablesQuestion, TablesRequest } from "./tables-messages.ts";
import { errorMessageOf } from "./ztoc-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<TablesRequest>) => void) | null;
  postMessage(message: TablesAnswer): void;
};

let tables: LayerTables | undefined;
let isAsked = false;

async function handle(question: TablesQuestion): Promise<string | undefined> {
  if (tables === undefined) throw new Error(`"${question.kind}" before "open"`);
  if (question.kind === "ztoc") {
    return await tables.addZtoc(question, new Uint8Array(question.ztoc));
  }
  if (question.kind === "cached") await tables.addCached(question.key);
  else await tables.merge(question.layers, question.path);
  return undefined;
}

self.onmessage = ({ data }) => {
  if (data.kind === "open") {
    tables = new LayerTables({ cacheRoot: data.cacheRoot });
    return;
  }
  isAsked = true;
  const { id, question } = data;
  handle(question).then(
    (fault) => self.postMessage({ id, kind: "done", fault }),
    (error: unknown) => self.postMessage({ id, kind: "failed", error: errorMessageOf(error) }),
  );
};

// Turn by turn, so that the first question does not wait for all of it.
const warming = warmTables();

function warm(): void {
  if (!isAsked && warming.next().done !== true) setImmediate(warm);
}

setImmediate(warm);
