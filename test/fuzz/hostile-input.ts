// Works through one hostile input in a process of its own, so that its peak of memory can be seen.
// Usage: bun hostile-input.ts DECODER INPUT
import { isKind } from "../../src/errors.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { concat, entry, latin1, pax } from "../tar/tar-blocks.ts";

type Inputs = Readonly<Record<string, () => void>>;

const MIB = 1 << 20;

function scanRepeatedly(part: Uint8Array, times: number): void {
  const scanner = new TarScanner({ onEntry: () => undefined });
  for (let i = 0; i < times; i++) scanner.push(part);
}

/** As many short records as fit into an extension, all with other keys. */
function manyRecords(): Uint8Array {
  let text = "";
  for (let i = 0; text.length < MIB - 20; i++) text += `10 ${String(i).padStart(5, "0")}=\n`;
  return latin1(text);
}

/** As many one-byte runs as fit into a map of format 1.0. */
function longMap(): Uint8Array {
  const count = 60_000;
  const lines = Array.from({ length: count }, (_, i) => `${2 * i}\n1\n`).join("");
  const map = latin1(`${count}\n${lines}`);
  return concat([map, new Uint8Array(512 - (map.length % 512)), new Uint8Array(count)]);
}

const TAR_SCANNER: Inputs = {
  nothing: () => scanRepeatedly(new Uint8Array(512), 1),
  pax: () => scanRepeatedly(concat([entry({ type: "x" }, manyRecords()), entry({}, "x")]), 60),
  sparse: () =>
    scanRepeatedly(
      concat([
        pax([
          ["GNU.sparse.major", "1"],
          ["GNU.sparse.minor", "0"],
          ["GNU.sparse.realsize", String(10 * MIB)],
        ]),
        entry({}, longMap()),
      ]),
      60,
    ),
  "long-names": () =>
    scanRepeatedly(
      concat([
        entry({ type: "L" }, "n".repeat(MIB - 1)),
        entry({ type: "K" }, "k".repeat(MIB - 1)),
      ]),
      300,
    ),
};

const DECODERS: Readonly<Record<string, Inputs>> = { "tar-scanner": TAR_SCANNER };

const [decoder = "", input = ""] = process.argv.slice(2);
const work = DECODERS[decoder]?.[input];
if (work === undefined) throw new Error(`no input "${input}" of "${decoder}"`);
try {
  work();
} catch (error) {
  if (!isKind(error, "data-loss", "unsupported")) throw error;
}
