import type { CriAuthConfig } from "../containerd/api/cri-images.ts";
import { areSameCredentials, type Credentials, type Keychain } from "../oci/credentials.ts";
import { loginPath } from "../oci/find-login.ts";
import { tryCompleteName } from "../oci/image-name.ts";
import { parseReference } from "../oci/reference.ts";

interface Login {
  readonly credentials: Credentials;
  /** The host it is for, as credentials are filed. */
  readonly host: string;
}

interface ImageLogins {
  readonly repository: string;
  /** Newest first. */
  readonly logins: readonly Login[];
  /** What the runtime calls the image, once it is pulled. */
  id: string | undefined;
}

const MAX_IMAGES = 4096;
// Kubelet tries the logins of a pod one after another.
const MAX_LOGINS_OF_IMAGE = 4;

/** The logins that came with pulls of images, by the image's complete name. They are in memory only. */
export class CriLogins {
  /** The one pulled last at the end. */
  readonly #images = new Map<string, ImageLogins>();

  get size(): number {
    return this.#images.size;
  }

  /** Keeps a login for an image; whether there was one in it, for a name that can be one. */
  put(image: string, auth: CriAuthConfig): boolean {
    const name = tryCompleteName(image);
    const credentials = credentialsOf(auth);
    if (name === undefined || credentials === undefined) return false;
    const { registry, repository } = parseReference(name);
    const host =
      auth.serverAddress === "" ? registry : (loginPath(auth.serverAddress).split("/")[0] ?? "");
    const before = this.#images.get(name);
    const others = (before?.logins ?? []).filter(
      (login) => login.host !== host || !areSameCredentials(login.credentials, credentials),
    );
    const logins = [{ credentials, host }, ...others].slice(0, MAX_LOGINS_OF_IMAGE);
    this.#images.delete(name);
    this.#images.set(name, { repository: `${registry}/${repository}`, logins, id: before?.id });
    const [oldest] = this.#images.keys();
    if (oldest !== undefined && this.#images.size > MAX_IMAGES) this.#images.delete(oldest);
    return true;
  }

  /** The image that was pulled is called `id` by the runtime, too. */
  nameId(image: string, id: string): void {
    const known = this.#images.get(tryCompleteName(image) ?? "");
    if (known !== undefined && id !== "") known.id = id;
  }

  /** Forgets the logins of an image, by its name or by the runtime's id of it. */
  remove(image: string): void {
    const name = tryCompleteName(image);
    const names = [...this.#images]
      .filter(([known, { id }]) => known === name || id === image || id === `sha256:${image}`)
      .map(([known]) => known);
    for (const known of names) this.#images.delete(known);
  }

  clear(): void {
    this.#images.clear();
  }

  /** Logins that came with the image itself, then those of its repository's other images, the newest first. */
  readonly keychain: Keychain = (host, { image = "", repository, isRefused = () => false }) => {
    const own = this.#images.get(tryCompleteName(image) ?? "");
    const name = own?.repository ?? repositoryOf(image) ?? `${host}/${repository}`;
    const related = [...this.#images.values()].filter((one) => one.repository === name).reverse();
    const found = [...(own === undefined ? [] : [own]), ...related]
      .flatMap(({ logins }) => logins)
      .find((login) => login.host === host && !isRefused(login.credentials));
    return Promise.resolve(found?.credentials);
  };
}

function repositoryOf(image: string): string | undefined {
  const name = tryCompleteName(image);
  if (name === undefined) return undefined;
  const { registry, repository } = parseReference(name);
  return `${registry}/${repository}`;
}

/**
 * In the order in which containerd looks at them, which does not know registry tokens.
 * https://github.com/containerd/containerd/blob/v2.0.0/internal/cri/server/images/image_pull.go (ParseAuth)
 */
function credentialsOf(auth: CriAuthConfig): Credentials | undefined {
  const { username, password, identityToken, registryToken } = auth;
  if (username !== "" && (password !== "" || identityToken === "")) return { username, password };
  if (identityToken !== "") {
    return { identityToken, ...(username === "" ? {} : { username }) };
  }
  const pair = Buffer.from(auth.auth, "base64").toString();
  const colon = pair.indexOf(":");
  if (auth.auth !== "" && colon >= 0) {
    const padded = pair.slice(colon + 1);
    return { username: pair.slice(0, colon), password: padded.replace(/^\0+|\0+$/g, "") };
  }
  return registryToken === "" ? undefined : { registryToken };
}
