import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { loginFiles } from "../config/login-files.ts";
import { proxySettings } from "../config/proxy-settings.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { PasswordCredentials } from "../oci/credentials.ts";
import { dockerKeychain } from "../oci/docker-keychain.ts";
import type { OpenRegistryOptions } from "../oci/open-image-source.ts";
import { proxyRules } from "../oci/proxy-rules.ts";
import type { RegistryHost } from "../oci/reference.ts";
import type { CliIo } from "./cli-io.ts";
import type { FlagSpecs, FlagValues } from "./flag-spec.ts";

/** Of commands that speak to a registry. */
export const REGISTRY_FLAGS = {
  user: {
    type: "string",
    short: "u",
    valueName: "USER[:PASSWORD]",
    description:
      "Log in to the image's registry so. A password on the command line can be seen by others: without it, it is asked for on the terminal, else read as a line of standard input. Default: what docker, podman or skopeo login and credential helpers have stored",
  },
  "plain-http": {
    type: "boolean",
    description:
      "Speak HTTP without TLS to the registry; localhost is spoken to so anyway, unless there are TLS settings for it",
  },
  "skip-verify": {
    type: "boolean",
    short: "k",
    description:
      "Take any certificate of the registry: whoever is on the way can read and change all",
  },
  "hosts-dir": {
    type: "string",
    valueName: "DIR",
    description:
      "Directory of mirrors and certificates by registry, as containerd's certs.d with its hosts.toml. Default: none",
  },
  tlscacert: {
    type: "string",
    valueName: "FILE",
    description: "Certificate authorities (PEM) to trust beside the system's",
  },
  tlscert: {
    type: "string",
    valueName: "FILE",
    description: "Our certificate (PEM), for a registry that asks for one",
  },
  tlskey: {
    type: "string",
    valueName: "FILE",
    description: "Its key (PEM, no passphrase); may also be in the file of --tlscert",
  },
} as const satisfies FlagSpecs;

export type RegistryFlagValues = FlagValues<typeof REGISTRY_FLAGS>;

export interface RegistryOptionsContext {
  readonly flags: RegistryFlagValues;
  readonly io: CliIo;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Of whoever runs in the background for a process that has asked for it. */
const PASSWORD = "SOCIABLE_PASSWORD";
const MAX_PASSWORD_BYTES = 64 * 1024;

/** How to speak to the registry of an image. May ask for a password. @throws invalid-argument, failed-precondition */
export async function registryOptions(
  registry: RegistryHost,
  { flags, io, log, signal }: RegistryOptionsContext,
): Promise<OpenRegistryOptions> {
  const path = (name: string | undefined): string | undefined =>
    name === undefined ? undefined : resolve(io.cwd, name);
  const [ca, cert, key] = [path(flags.tlscacert), path(flags.tlscert), path(flags.tlskey)];
  if (key !== undefined && cert === undefined) {
    throw new SociError("invalid-argument", "Cannot use --tlskey alone: give --tlscert, too");
  }
  const hostsDirectory = path(flags["hosts-dir"]);
  if (hostsDirectory !== undefined) await checkDirectory(hostsDirectory);
  return {
    plainHttp: flags["plain-http"],
    credentials: flags.user === undefined ? undefined : await login(flags.user, registry, io),
    keychain: dockerKeychain({ files: loginFiles(io), env: withoutPassword(io.env) }),
    hostsDirectory,
    tls: {
      ca: ca === undefined ? [] : [ca],
      client: cert === undefined ? undefined : { cert, key },
      skipVerify: flags["skip-verify"] ? true : undefined,
    },
    proxyFor: proxyRules(proxySettings(io.env)),
    log,
    signal,
  };
}

/**
 * What a process in the background must have in its environment, as it cannot ask: the password of a
 * user that was given without one, which is asked for here.
 */
export async function passwordEnvironment(
  { user }: Pick<RegistryFlagValues, "user">,
  registry: RegistryHost,
  io: CliIo,
): Promise<Readonly<Record<string, string>>> {
  if (user === undefined) return {};
  return { [PASSWORD]: (await login(user, registry, io)).password };
}

/** For programs that we start: it is nothing to them. */
function withoutPassword({ [PASSWORD]: _, ...env }: CliIo["env"]): CliIo["env"] {
  return env;
}

async function login(
  text: string,
  registry: RegistryHost,
  io: CliIo,
): Promise<PasswordCredentials> {
  const colon = text.indexOf(":");
  const username = colon < 0 ? text : text.slice(0, colon);
  if (username === "") {
    throw new SociError(
      "invalid-argument",
      "Cannot use --user: it has no user, want USER[:PASSWORD]",
    );
  }
  const given = colon < 0 ? "" : text.slice(colon + 1);
  const password = given === "" ? await askPassword(username, registry, io) : given;
  if (password === "") {
    throw new SociError(
      "invalid-argument",
      `Cannot log in as "${username}": the password is empty`,
    );
  }
  return { username, password };
}

async function askPassword(username: string, registry: RegistryHost, io: CliIo): Promise<string> {
  const known = io.env[PASSWORD];
  if (known !== undefined) return known;
  return io.stdinIsTty
    ? await io.readSecret(`Password of ${username} at ${registry}: `)
    : await firstLine(io.stdin);
}

/** Without the end of line; what comes behind it is not waited for. */
async function firstLine(input: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    const end = chunk.indexOf(0x0a);
    chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
    size += chunk.length;
    if (end >= 0) break;
    if (size > MAX_PASSWORD_BYTES) {
      throw new SociError(
        "invalid-argument",
        `Cannot read the password: standard input has a line of over ${MAX_PASSWORD_BYTES} bytes`,
      );
    }
  }
  return Buffer.concat(chunks).toString().replace(/\r$/, "");
}

async function checkDirectory(path: string): Promise<void> {
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isDirectory) {
    throw new SociError("invalid-argument", `Cannot use --hosts-dir "${path}": it is no directory`);
  }
}
