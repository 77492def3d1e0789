import { randomUUID } from "node:crypto";
import { basic, error } from "./registry-answers.ts";
import type { RegistryManners } from "./registry-manners.ts";

/** One question to the token service. */
export interface TokenRequest {
  readonly method: string;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** Of a POST. */
  readonly grant: string | undefined;
}

type Auth = RegistryManners["auth"];
type BearerAuth = Extract<Auth, { readonly kind: "bearer" }>;

interface Token {
  /** As Date.now() counts. */
  readonly expiresAt: number;
  readonly scopes: readonly string[];
}

const REPOSITORY = /^\/v2\/(.+?)\/(?:blobs|manifests|referrers|tags)\//;

/** Lets requests into a test registry, and gives the tokens for it. */
export class Doorkeeper {
  readonly tokenRequests: TokenRequest[] = [];
  /** By Authorization header. */
  readonly #tokens = new Map<string, Token>();
  /** The refresh token that is good now, once the first one has been changed. */
  #identityToken: string | undefined;

  /** The answer to a request that may not come in. */
  refuse(request: Request, auth: Auth): Response | undefined {
    const given = request.headers.get("authorization");
    switch (auth.kind) {
      case "none":
        return undefined;
      case "basic":
      case "ecr":
        return given === basic(auth.username, auth.password)
          ? undefined
          : refuseLogin(auth, given !== null);
      case "bearer":
        return this.#refuseBearer(request, given ?? "", auth);
    }
  }

  /** The token service. */
  async token(request: Request, auth: Auth): Promise<Response> {
    if (auth.kind !== "bearer") {
      return new Response("404 page not found\n", { status: 404 });
    }
    const isPost = request.method === "POST";
    const form = isPost
      ? new URLSearchParams(await request.text())
      : new URL(request.url).searchParams;
    const scopes = form.getAll("scope").flatMap((scope) => scope.split(" "));
    this.tokenRequests.push({
      method: request.method,
      service: form.get("service") ?? undefined,
      scopes,
      grant: form.get("grant_type") ?? undefined,
    });
    const refused = isPost ? this.#refuseGrant(form, auth) : refuseUser(request, auth);
    return refused ?? this.#give(scopes, { auth, isPost });
  }

  /** Makes every token given so far worthless. */
  revoke(): void {
    this.#tokens.clear();
  }

  #refuseBearer(request: Request, given: string, auth: BearerAuth): Response | undefined {
    const url = new URL(request.url);
    const [, repository] = REPOSITORY.exec(url.pathname) ?? [];
    const isRead = request.method === "GET" || request.method === "HEAD";
    const action = isRead ? "pull" : request.method === "DELETE" ? "delete" : "push";
    const need = [
      ...(repository === undefined ? [] : [`repository:${repository}:${action}`]),
      ...(url.searchParams.has("from") ? [`repository:${url.searchParams.get("from")}:pull`] : []),
    ];
    const token = this.#tokens.get(given);
    const isGood = token !== undefined && token.expiresAt > Date.now();
    if (given === `Bearer ${auth.registryToken}` || (isGood && allows(token, need))) {
      return undefined;
    }
    const realm = auth.realm ?? new URL("/token", request.url).href;
    const scope = [...need, ...(auth.extraScope === undefined ? [] : [auth.extraScope])].join(" ");
    return error(401, "UNAUTHORIZED", "a token is needed", {
      "www-authenticate": `Bearer realm="${realm}",service="test, registry",scope="${scope}"`,
    });
  }

  #refuseGrant(form: URLSearchParams, auth: BearerAuth): Response | undefined {
    if (auth.identityToken === undefined || auth.noGrant !== undefined) {
      return error(auth.noGrant ?? 404, "UNSUPPORTED", "no grants here");
    }
    const isGood =
      form.get("grant_type") === "refresh_token" &&
      form.get("refresh_token") === (this.#identityToken ?? auth.identityToken);
    return isGood ? undefined : error(403, "DENIED", "wrong refresh token");
  }

  #give(
    scopes: readonly string[],
    { auth, isPost }: { readonly auth: BearerAuth; readonly isPost: boolean },
  ): Response {
    const token = `token-${randomUUID()}`;
    const told = auth.expiresInSeconds ?? 300;
    const validMs = (auth.validSeconds ?? told) * 1000;
    this.#tokens.set(`Bearer ${token}`, { expiresAt: Date.now() + validMs, scopes });
    if (auth.changesIdentityToken && isPost) {
      this.#identityToken = `identity-${randomUUID()}`;
    }
    const refresh = this.#identityToken === undefined ? {} : { refresh_token: this.#identityToken };
    const issued = new Date(Date.now() + (auth.clockAheadMs ?? 0)).toISOString();
    const common = { expires_in: told, issued_at: issued, ...refresh };
    return Response.json(isPost ? { access_token: token, ...common } : { token, ...common });
  }
}

function refuseLogin(
  auth: Extract<Auth, { readonly username: string }>,
  wasTried: boolean,
): Response {
  return auth.kind === "ecr" && wasTried
    ? error(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
    : error(401, "UNAUTHORIZED", "log in", { "www-authenticate": 'Basic realm="test"' });
}

function refuseUser(request: Request, auth: BearerAuth): Response | undefined {
  const {
    username = auth.identityToken === undefined ? undefined : "",
    password = auth.identityToken,
  } = auth;
  const isGood =
    username === undefined ||
    request.headers.get("authorization") === basic(username, password ?? "");
  return isGood ? undefined : error(401, "UNAUTHORIZED", "wrong user or password");
}

function allows({ scopes }: Token, need: readonly string[]): boolean {
  return need.every((wanted) => {
    const [name, action = ""] = splitScope(wanted);
    return scopes.some((scope) => {
      const [scopeName, actions = ""] = splitScope(scope);
      return scopeName === name && actions.split(",").includes(action);
    });
  });
}

function splitScope(scope: string): readonly [name: string, actions: string] {
  const colon = scope.lastIndexOf(":");
  return [scope.slice(0, colon), scope.slice(colon + 1)];
}
