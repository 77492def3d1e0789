import { SociError } from "../../errors.ts";
import type { SociCommand } from "./soci-command.ts";

export const sociRebuildDb: SociCommand = {
  name: "rebuild-db",
  usage: "rebuild the artifacts database",
  arguments: "",
  flags: [],
  async run(context) {
    context.contentStore();
    try {
      await context.connect();
    } catch (cause) {
      if (!(cause instanceof SociError)) throw cause;
      throw new SociError(cause.kind, `failed to add new artifacts to db: ${cause.message}`, {
        cause,
      });
    }
    const store = await context.openStore({ isDamaged: true });
    await store.rebuild({ signal: context.signal });
  },
};
