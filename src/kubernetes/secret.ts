import type { Credentials } from "../oci/credentials.ts";
import { parseDockerConfig } from "../oci/docker-config.ts";
import type { JsonObject } from "../oci/json-document.ts";
import { SociError } from "../errors.ts";

export const LOGIN_SECRET_TYPE = "kubernetes.io/dockerconfigjson";
const LOGIN_SECRET_KEY = ".dockerconfigjson";

/** A secret by its name in the cluster. */
export interface SecretName {
  /** `<namespace>/<name>`. */
  readonly name: string;
  /** Of this state of it. */
  readonly resourceVersion: string;
}

/** Which secret a JSON object of the API is. @throws data-loss */
export function secretName(object: JsonObject): SecretName {
  const metadata = object.object("metadata");
  const namespace = metadata.optionalString("namespace") ?? "";
  const name = metadata.optionalString("name") ?? "";
  return {
    name: `${namespace}/${name}`,
    resourceVersion: metadata.optionalString("resourceVersion") ?? "",
  };
}

/**
 * The logins in a secret, by key as docker's config spells hosts; `undefined` for a secret of another
 * type. Helper programs that it names are not asked.
 * @throws failed-precondition, data-loss; no value of the secret is in the message
 */
export function secretLogins(
  object: JsonObject,
  { name }: SecretName,
): ReadonlyMap<string, Credentials> | undefined {
  if (object.optionalString("type") !== LOGIN_SECRET_TYPE) {
    return undefined;
  }
  const what = `secret ${name}`;
  const data = object.optionalObject("data");
  let text: string | undefined;
  try {
    text = data?.optionalString(LOGIN_SECRET_KEY);
  } catch {
    // The message about it would quote a number.
  }
  if (text === undefined) {
    throw new SociError("data-loss", `Cannot use ${what}: ${LOGIN_SECRET_KEY} is no string`);
  }
  return parseDockerConfig(Buffer.from(text, "base64"), what).auths;
}
