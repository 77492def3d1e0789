import { isKind } from "../errors.ts";
import { formatReference, parseReference, type Reference } from "./reference.ts";

/**
 * A reference as containerd's CRI plugin keeps it: complete, and by its digest alone where it has
 * one. https://github.com/distribution/reference/blob/v0.6.0/normalize.go#L125
 */
export function completeName({ registry, repository, tag, digest }: Reference): string {
  return formatReference({
    registry,
    repository,
    ...(digest === undefined ? { ...(tag === undefined ? {} : { tag }) } : { digest }),
  });
}

/** The same of what somebody has written; `undefined` when it names no image. */
export function tryCompleteName(text: string): string | undefined {
  try {
    return completeName(parseReference(text));
  } catch (error) {
    if (!isKind(error, "invalid-argument")) {
      throw error;
    }
    return undefined;
  }
}
