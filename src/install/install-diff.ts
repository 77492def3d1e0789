import type { PlannedChange } from "./plan-install.ts";
import { unifiedDiff } from "./unified-diff.ts";
import type { PlannedRemoval } from "./uninstall.ts";

/** What an installation would change, as a unified diff; programs and links as comments. */
export function installDiff(changes: readonly PlannedChange[]): string {
  return changes.map(changeText).join("");
}

function changeText(change: PlannedChange): string {
  const { path } = change;
  if (change.kind === "link") return `# link ${path} -> ${change.target}\n`;
  if (change.kind === "program") return `# copy ${change.source} to ${path}\n`;
  const from = change.before === undefined ? "/dev/null" : path;
  return unifiedDiff(change.before ?? "", change.text, { from, to: path });
}

/** What an uninstallation would change, in the same form. */
export function uninstallDiff(removals: readonly PlannedRemoval[]): string {
  return removals.map(removalText).join("");
}

function removalText(removal: PlannedRemoval): string {
  const { path } = removal;
  if (removal.kind === "move-back") return `# move ${removal.from} back to ${path}\n`;
  if (removal.kind === "restore") {
    return unifiedDiff(removal.before, removal.text, { from: path, to: path });
  }
  return removal.before === undefined
    ? `# remove ${path}\n`
    : unifiedDiff(removal.before, "", { from: path, to: "/dev/null" });
}
