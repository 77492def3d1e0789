import { SociError } from "../errors.ts";
import { type Digest, isDigest } from "./digest.ts";

declare const registryBrand: unique symbol;
declare const repositoryBrand: unique symbol;
declare const tagBrand: unique symbol;

/** A registry as names spell it: host, and port if any. `docker.io` is Docker Hub. */
export type RegistryHost = string & { readonly [registryBrand]: true };
/** A repository inside a registry, as in `library/alpine`. */
export type RepositoryName = string & { readonly [repositoryBrand]: true };
export type TagName = string & { readonly [tagBrand]: true };

/** A name of an image in a registry, made complete as docker and containerd do. */
export interface Reference {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  /** Missing only when there is a digest. */
  readonly tag?: TagName;
  /** Decides when there is also a tag. */
  readonly digest?: Digest;
}

const MAX_REPOSITORY_LENGTH = 255;
const MAX_NAME_LENGTH = 1024;

// https://github.com/distribution/reference/blob/v0.6.0/reference.go (grammar)
const LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const HOST = new RegExp(String.raw`^(?:${LABEL}(?:\.${LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const HEX_ID = /^[0-9a-f]{64}$/;

/**
 * Parses `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`. Without a host it is Docker Hub's, without tag
 * and digest it is `latest`. @throws invalid-argument
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_NAME_LENGTH) {
    throw invalid(text, `it has ${text.length} characters, want at most ${MAX_NAME_LENGTH}`);
  }
  if (HEX_ID.test(text)) {
    throw invalid(text, "it is an image id, want a name");
  }
  const { rest: tagged, digest } = splitDigest(text);
  const { rest: name, tag } = splitTag(text, tagged);
  const { registry, repository } = splitHost(text, name);
  return {
    registry,
    repository,
    ...(tag === undefined && digest === undefined ? { tag: "latest" as TagName } : {}),
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The complete name: host, repository, tag, digest. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  const tagPart = tag === undefined ? "" : `:${tag}`;
  const digestPart = digest === undefined ? "" : `@${digest}`;
  return `${registry}/${repository}${tagPart}${digestPart}`;
}

/** Whether `text` can be a tag. */
export function isTag(text: string): text is TagName {
  return TAG.test(text);
}

function splitDigest(text: string): { readonly rest: string; readonly digest?: Digest } {
  const at = text.indexOf("@");
  if (at < 0) {
    return { rest: text };
  }
  const digest = text.slice(at + 1);
  if (!isDigest(digest)) {
    throw invalid(text, `its digest is ${quote(digest)}, want sha256:<64 hex digits>`);
  }
  return { rest: text.slice(0, at), digest };
}

function splitTag(text: string, name: string): { readonly rest: string; readonly tag?: TagName } {
  const colon = name.lastIndexOf(":");
  // A colon before the last slash belongs to a port.
  if (colon < 0 || colon < name.lastIndexOf("/")) {
    return { rest: name };
  }
  const tag = name.slice(colon + 1);
  if (!isTag(tag)) {
    throw invalid(text, `its tag is ${quote(tag)}, want letters, digits and "_.-"`);
  }
  return { rest: name.slice(0, colon), tag };
}

function splitHost(
  text: string,
  name: string,
): { readonly registry: RegistryHost; readonly repository: RepositoryName } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  if (!isHost) {
    return {
      registry: "docker.io" as RegistryHost,
      repository: checkRepository(text, slash < 0 ? `library/${name}` : name),
    };
  }
  // The grammar takes ports and addresses that no URL can have.
  if (!HOST.test(first) || !URL.canParse(`https://${first}/`)) {
    throw invalid(text, `its registry is ${quote(first)}, want HOST[:PORT]`);
  }
  const registry = first === "index.docker.io" ? "docker.io" : first;
  const path = name.slice(slash + 1);
  const official = registry === "docker.io" && !path.includes("/");
  return {
    registry: registry as RegistryHost,
    repository: checkRepository(text, official ? `library/${path}` : path),
  };
}

function checkRepository(text: string, repository: string): RepositoryName {
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    throw invalid(
      text,
      `its repository has ${repository.length} characters, want at most ${MAX_REPOSITORY_LENGTH}`,
    );
  }
  const wrong = repository.split("/").find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) {
    const hint =
      wrong !== wrong.toLowerCase() ? "lower-case letters" : 'letters and digits joined by "._-"';
    throw invalid(text, `its repository has the component ${quote(wrong)}, want ${hint}`);
  }
  return repository as RepositoryName;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

function invalid(text: string, reason: string): SociError {
  return new SociError("invalid-argument", `Cannot parse image name ${quote(text)}: ${reason}`);
}
