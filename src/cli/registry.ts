import type { CommandGroup } from "./registry-entry.ts";

/** The one list of commands. A test holds each summary against the command's own. */
export const commandRegistry: CommandGroup = {
  summary: "Build, push, inspect and read SOCI indexes of container images",
  commands: {
    create: {
      summary: "Build the SOCI index of an image",
      load: async () => (await import("./commands/create.ts")).createCommand,
    },
    push: {
      summary: "Push the SOCI index of an image to its repository",
      load: async () => (await import("./commands/push.ts")).pushCommand,
    },
    ls: {
      summary: "List files of an image",
      load: async () => (await import("./commands/ls.ts")).lsCommand,
    },
    cat: {
      summary: "Print files of an image, fetching only what they need",
      load: async () => (await import("./commands/cat.ts")).catCommand,
    },
    ztoc: {
      summary: "Build and inspect zTOCs of single layers",
      commands: {
        create: {
          summary: "Build the zTOC of a layer's blob",
          load: async () => (await import("./commands/ztoc-create.ts")).ztocCreateCommand,
        },
      },
    },
    version: {
      summary: "Print version, commit and Bun's version",
      load: async () => (await import("./commands/version.ts")).versionCommand,
    },
  },
};
