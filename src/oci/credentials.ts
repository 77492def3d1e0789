import type { WaitOptions } from "../async/wait-options.ts";

export interface PasswordCredentials {
  readonly username: string;
  readonly password: string;
}

/** A refresh token: good at the token service only, where it is changed for access tokens. */
export interface IdentityTokenCredentials {
  readonly identityToken: string;
  /** For services that know no refresh tokens: there the token is the password of this user. */
  readonly username?: string;
}

/** A token that the registry itself takes, as it is. */
export interface RegistryTokenCredentials {
  readonly registryToken: string;
}

/** How to log in to one host. Never put into a log, an error or another program's arguments. */
export type Credentials = PasswordCredentials | IdentityTokenCredentials | RegistryTokenCredentials;

export interface KeychainOptions extends WaitOptions {
  /** The repository in question: some files have logins for parts of a host. */
  readonly repository?: string | undefined;
  /** The image in question by its complete name: some logins come with the order to pull one. */
  readonly image?: string | undefined;
  /** What the host did not take: give something else, if there is more than one. */
  readonly isRefused?: ((credentials: Credentials) => boolean) | undefined;
}

/**
 * Finds the credentials for a host, `HOST[:PORT]`, or `docker.io` for Docker Hub; `undefined` when
 * there are none. Asked again when a registry has refused what was found.
 */
export type Keychain = (host: string, options: KeychainOptions) => Promise<Credentials | undefined>;

/** The header of a login by Basic; `undefined` for a token that only a registry takes. */
export function basicHeader(credentials: Credentials): string | undefined {
  if ("registryToken" in credentials) {
    return undefined;
  }
  const { username, password } =
    "password" in credentials
      ? credentials
      : { username: credentials.username ?? "", password: credentials.identityToken };
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Whether both log in as the same. */
export function areSameCredentials(a: Credentials, b: Credentials): boolean {
  const left: Readonly<Record<string, string | undefined>> = { ...a };
  const right: Readonly<Record<string, string | undefined>> = { ...b };
  return ["username", "password", "identityToken", "registryToken"].every(
    (key) => left[key] === right[key],
  );
}
