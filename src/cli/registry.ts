import type { CommandGroup } from "./registry-entry.ts";

/** The one list of commands. A test holds each summary against the command's own. */
export const commandRegistry: CommandGroup = {
  summary: "Start, read and index container images without downloading them first",
  commands: {
    create: {
      summary: "Build the SOCI index of an image",
      load: async () => (await import("./commands/create.ts")).createCommand,
    },
    convert: {
      summary: "Write an image together with its SOCI index",
      load: async () => (await import("./commands/convert.ts")).convertCommand,
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
    inspect: {
      summary: "Show what an image is and what starting it costs",
      load: async () => (await import("./commands/inspect.ts")).inspectCommand,
    },
    diff: {
      summary: "List the files in which two images differ",
      load: async () => (await import("./commands/diff.ts")).diffCommand,
    },
    mount: {
      summary: "Mount an image as a read-only directory, lazily",
      load: async () => (await import("./commands/mount.ts")).mountCommand,
    },
    unmount: {
      summary: "Unmount images that `sociable mount` mounted",
      aliases: ["umount"],
      load: async () => (await import("./commands/unmount.ts")).unmountCommand,
    },
    pull: {
      summary: "Pull an image into containerd, lazily",
      load: async () => (await import("./commands/pull.ts")).pullCommand,
    },
    explain: {
      summary: "Tell which layers of an image start lazily, and why not",
      load: async () => (await import("./commands/explain.ts")).explainCommand,
    },
    serve: {
      summary: "Serve containerd with images that are not here yet",
      load: async () => (await import("./commands/serve.ts")).serveCommand,
    },
    keeper: {
      summary: "Hold mounts while their server is replaced",
      isHidden: true,
      load: async () => (await import("./commands/keeper.ts")).keeperCommand,
    },
    config: {
      summary: "Show and check the configuration of `sociable serve`",
      commands: {
        default: {
          summary: "Print the daemon's default configuration",
          load: async () => (await import("./commands/config-default.ts")).configDefaultCommand,
        },
        dump: {
          summary: "Print the configuration that the daemon would use",
          load: async () => (await import("./commands/config-dump.ts")).configDumpCommand,
        },
        check: {
          summary: "Check a configuration file of the daemon",
          load: async () => (await import("./commands/config-check.ts")).configCheckCommand,
        },
      },
    },
    install: {
      summary: "Set this host up: service, containerd, configuration",
      load: async () => (await import("./commands/install.ts")).installCommand,
    },
    uninstall: {
      summary: "Take back what `sociable install` has done to this host",
      load: async () => (await import("./commands/uninstall.ts")).uninstallCommand,
    },
    doctor: {
      summary: "Check what this host needs, and tell what to do",
      load: async () => (await import("./commands/doctor.ts")).doctorCommand,
    },
    ztoc: {
      summary: "Build and inspect zTOCs of single layers",
      commands: {
        create: {
          summary: "Build the zTOC of a layer's blob",
          load: async () => (await import("./commands/ztoc-create.ts")).ztocCreateCommand,
        },
        info: {
          summary: "Print a zTOC as JSON",
          load: async () => (await import("./commands/ztoc-info.ts")).ztocInfoCommand,
        },
        show: {
          summary: "Show how the files of a layer lie in its spans",
          load: async () => (await import("./commands/ztoc-show.ts")).ztocShowCommand,
        },
        list: {
          summary: "List the zTOCs in the state directory",
          aliases: ["ls"],
          load: async () => (await import("./commands/ztoc-list.ts")).ztocListCommand,
        },
        "get-file": {
          summary: "Print one file of a layer, reading only its spans",
          load: async () => (await import("./commands/ztoc-get-file.ts")).ztocGetFileCommand,
        },
      },
    },
    index: {
      summary: "Inspect and remove SOCI indexes in the state directory",
      commands: {
        list: {
          summary: "List the SOCI indexes in the state directory",
          aliases: ["ls"],
          load: async () => (await import("./commands/index-list.ts")).indexListCommand,
        },
        info: {
          summary: "Print a SOCI index as JSON",
          load: async () => (await import("./commands/index-info.ts")).indexInfoCommand,
        },
        remove: {
          summary: "Remove SOCI indexes from the state directory",
          aliases: ["rm"],
          load: async () => (await import("./commands/index-remove.ts")).indexRemoveCommand,
        },
      },
    },
    prefetch: {
      summary: "Inspect prefetch artifacts in the state directory",
      commands: {
        list: {
          summary: "List the prefetch artifacts in the state directory",
          aliases: ["ls"],
          load: async () => (await import("./commands/prefetch-list.ts")).prefetchListCommand,
        },
        info: {
          summary: "Print what a prefetch artifact says",
          load: async () => (await import("./commands/prefetch-info.ts")).prefetchInfoCommand,
        },
      },
    },
    "rebuild-db": {
      summary: "List again what the state directory holds",
      load: async () => (await import("./commands/rebuild-db.ts")).rebuildDbCommand,
    },
    completions: {
      summary: "Print the completion script of a shell",
      load: async () => (await import("./commands/completions.ts")).completionsCommand,
    },
    version: {
      summary: "Print version, commit and Bun's version",
      load: async () => (await import("./commands/version.ts")).versionCommand,
    },
  },
};
