import type { RepositoryName } from "./reference.ts";

/** What a token is to allow, as in `repository:library/alpine:pull,push`. https://distribution.github.io/distribution/spec/auth/scope/ */
export type AuthScope = string;

export type RepositoryAction = "pull" | "push" | "delete";

const MAX_CHALLENGE_SCOPES = 16;

export function repositoryScope(
  repository: RepositoryName,
  actions: readonly RepositoryAction[],
): AuthScope {
  return `repository:${repository}:${actions.join(",")}`;
}

/** Whether a token for the scopes `have` does for all of `want`. */
export function scopesCover(have: readonly AuthScope[], want: readonly AuthScope[]): boolean {
  return want.every((scope) => have.some((other) => other === scope || covers(other, scope)));
}

/** The scopes to ask for: ours, and what the registry names in its challenge beyond them. */
export function joinScopes(
  ours: readonly AuthScope[],
  challenged: string | undefined,
): readonly AuthScope[] {
  const theirs = (challenged ?? "")
    .split(" ")
    .filter((scope) => scope !== "" && !scopesCover(ours, [scope]))
    .slice(0, MAX_CHALLENGE_SCOPES);
  return [...ours, ...new Set(theirs)];
}

function covers(have: AuthScope, want: AuthScope): boolean {
  const [haveActions, haveName] = split(have);
  const [wantActions, wantName] = split(want);
  return haveName === wantName && wantActions.every((action) => haveActions.includes(action));
}

// Names may hold colons, a port's among them: the actions follow the last one.
function split(scope: AuthScope): [actions: readonly string[], name: string] {
  const colon = scope.lastIndexOf(":");
  return [scope.slice(colon + 1).split(","), scope.slice(0, Math.max(colon, 0))];
}
