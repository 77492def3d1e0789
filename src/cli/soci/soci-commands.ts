import type { SociGroup } from "./soci-command.ts";
import { sociConvert } from "./soci-convert.ts";
import { sociCreate } from "./soci-create.ts";
import { sociIndex } from "./soci-index.ts";
import { sociPrefetch } from "./soci-prefetch.ts";
import { sociPush } from "./soci-push.ts";
import { sociRebuildDb } from "./soci-rebuild-db.ts";
import { sociZtoc } from "./soci-ztoc.ts";

/** The commands of the Go tool. */
export const SOCI_COMMANDS: SociGroup = {
  name: "soci",
  usage: "build and manage SOCI indices of container images",
  entries: [sociIndex, sociZtoc, sociPrefetch, sociCreate, sociConvert, sociPush, sociRebuildDb],
};
