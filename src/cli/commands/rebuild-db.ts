import { openDamagedStore, rebuildDatabase } from "../../soci/rebuild-database.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";

export const rebuildDbCommand = defineCommand({
  name: "rebuild-db",
  summary: "List again what the state directory holds",
  description:
    "Makes the list of SOCI indexes, zTOCs and prefetch artifacts agree with what is there, whoever put it there: what is gone is listed no more, what is damaged is removed, what is found is listed. A damaged list is put aside and made anew. zTOCs that no index names and no list lists cannot be found again.",
  examples: [
    {
      command: "sociable rebuild-db",
      explanation: "After a disk was repaired or files were copied",
    },
    {
      command: "sociable rebuild-db --json --root /mnt/backup/sociable",
      explanation: "Another state directory; print what was changed",
    },
  ],
  args: [],
  flags: {
    json: {
      type: "boolean",
      description: "Print a JSON object of digests: added, removed, damaged, unknown",
    },
  },
  async run({ flags, io, log, root, signal }) {
    await using store = await openDamagedStore({ root, signal });
    const report = await rebuildDatabase(store, { signal });
    for (const digest of report.damaged) log.warn("damaged artifact removed", { digest });
    for (const digest of report.unknown) {
      log.warn("v2 SOCI index not listed: nothing says what image it is of", { digest });
    }
    if (flags.json) await writeJson(io.stdout, report);
  },
});
