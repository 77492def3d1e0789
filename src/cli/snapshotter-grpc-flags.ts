import { SociError } from "../errors.ts";

/** The Go snapshotter's flags with a value, by their names there. */
export const SNAPSHOTTER_GRPC_FLAGS = {
  address: {
    env: "SOCI_SNAPSHOTTER_ADDRESS",
    usage: "address for the snapshotter's GRPC server",
    default: "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock",
  },
  config: {
    env: "SOCI_SNAPSHOTTER_CONFIG",
    usage: "path to the configuration file",
    default: "/etc/soci-snapshotter-grpc/config.toml",
  },
  "log-level": {
    env: "SOCI_SNAPSHOTTER_LOG_LEVEL",
    usage: "set the logging level [trace, debug, info, warn, error, fatal, panic]",
    default: "info",
  },
  root: {
    env: "SOCI_SNAPSHOTTER_ROOT",
    usage: "path to the root directory for this snapshotter",
    default: "/var/lib/soci-snapshotter-grpc/",
  },
} as const;

export type SnapshotterGrpcFlag = keyof typeof SNAPSHOTTER_GRPC_FLAGS;

export interface SnapshotterGrpcCommandLine {
  readonly action: "serve" | "help" | "version" | "config dump" | "config default" | "config help";
  /** Those that the command line or the environment has set. */
  readonly values: Readonly<Partial<Record<SnapshotterGrpcFlag, string>>>;
}

interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Parses a command line of soci-snapshotter-grpc: one or two dashes, `--flag value` or
 * `--flag=value`, flags before or after the words. The command line comes before the environment.
 * @throws invalid-argument
 */
export function parseSnapshotterGrpc(
  argv: readonly string[],
  { env }: Context,
): SnapshotterGrpcCommandLine {
  const values = valuesOf(env);
  const words: string[] = [];
  let asked: "help" | "version" | undefined;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    const [, name = "", inline] = /^--?([^=-][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (word === "--") {
      words.push(...argv.slice(index + 1));
      break;
    }
    if (name === "") {
      words.push(word);
    } else if (name === "help" || name === "h") {
      asked = "help";
    } else if (name === "version" || name === "v") {
      asked ??= "version";
    } else if (isFlag(name)) {
      const value = inline ?? argv[index + 1];
      if (inline === undefined) index += 1;
      if (value === undefined) throw usage(`flag needs an argument: -${name}`);
      values[name] = value;
    } else {
      throw usage(`flag provided but not defined: -${name.slice(0, 80)}`);
    }
  }
  return { action: actionOf(words, asked), values };
}

function valuesOf(env: Context["env"]): Partial<Record<SnapshotterGrpcFlag, string>> {
  const values: Partial<Record<SnapshotterGrpcFlag, string>> = {};
  for (const [name, { env: variable }] of flagEntries()) {
    const value = env[variable];
    if (value !== undefined && value !== "") values[name] = value;
  }
  return values;
}

function actionOf(
  words: readonly string[],
  asked: "help" | "version" | undefined,
): SnapshotterGrpcCommandLine["action"] {
  const [first, second, ...others] = words;
  if (first === undefined) return asked ?? "serve";
  if (first === "help" || first === "h") return "help";
  if (first === "config" && asked !== undefined) return "config help";
  if (first === "config" && second === undefined) return "config help";
  if (first === "config" && others.length === 0) {
    if (second === "dump") return "config dump";
    if (second === "default") return "config default";
  }
  throw usage(`No help topic for '${words.join(" ").slice(0, 80)}'`);
}

/** The help, as the Go tool lays it out. */
export function snapshotterGrpcHelp(): string {
  const flags = flagEntries().map(([name, flag]) => [
    `--${name} string`,
    `${flag.usage} (default: "${flag.default}") [$${flag.env}]`,
  ]);
  const options = [...flags, ["--help, -h", "show help"], ["--version, -v", "print the version"]];
  const width = Math.max(...options.map(([left = ""]) => left.length));
  return [
    "NAME:",
    "   soci-snapshotter-grpc - the remote snapshotter of containerd for SOCI images",
    "",
    "USAGE:",
    "   soci-snapshotter-grpc [global options] [command [command options]]",
    "",
    "COMMANDS:",
    "   config   configuration: `config dump` prints the effective one, `config default` the defaults",
    "   help, h  shows this help",
    "",
    "GLOBAL OPTIONS:",
    ...options.map(([left = "", right = ""]) => `   ${left.padEnd(width)}  ${right}`),
    "",
  ].join("\n");
}

function isFlag(name: string): name is SnapshotterGrpcFlag {
  return Object.hasOwn(SNAPSHOTTER_GRPC_FLAGS, name);
}

function flagEntries() {
  const { address, config, root } = SNAPSHOTTER_GRPC_FLAGS;
  return [
    ["address", address],
    ["config", config],
    ["log-level", SNAPSHOTTER_GRPC_FLAGS["log-level"]],
    ["root", root],
  ] as const;
}

function usage(what: string): SociError {
  return new SociError("invalid-argument", what);
}
