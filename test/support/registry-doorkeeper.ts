import { randomUUID } from "node:crypto";
import { basic, error } from "./registry-answers.ts";
import type { RegistryManners } from "./registry-manners.ts";

/** Lets requests into a test registry, and gives the tokens for it. */
export class Doorkeeper {
  /** Authorization headers and when they expire, as Date.now() counts. */
  readonly #tokens = new Map<string, number>();

  /** The answer to a request that may not come in. */
  refuse(request: Request, auth: RegistryManners["auth"]): Response | undefined {
    const given = request.headers.get("authorization") ?? "";
    if (auth.kind === "none") {
      return undefined;
    }
    if (auth.kind === "basic") {
      return given === basic(auth.username, auth.password)
        ? undefined
        : error(401, "UNAUTHORIZED", "log in", { "www-authenticate": 'Basic realm="test"' });
    }
    if ((this.#tokens.get(given) ?? 0) > Date.now()) {
      return undefined;
    }
    const realm = new URL("/token", request.url).href;
    return error(401, "UNAUTHORIZED", "a token is needed", {
      "www-authenticate": `Bearer realm="${realm}",service="test, registry"`,
    });
  }

  /** The token service. */
  token(request: Request, auth: RegistryManners["auth"]): Response {
    if (auth.kind !== "bearer") {
      return new Response("404 page not found\n", { status: 404 });
    }
    if (auth.username !== undefined) {
      const want = basic(auth.username, auth.password ?? "");
      if (request.headers.get("authorization") !== want) {
        return error(401, "UNAUTHORIZED", "wrong user or password");
      }
    }
    const token = `token-${randomUUID()}`;
    const expiresIn = auth.expiresInSeconds ?? 300;
    this.#tokens.set(`Bearer ${token}`, Date.now() + expiresIn * 1000);
    return Response.json({ token, expires_in: expiresIn });
  }

  /** Makes every token given so far worthless. */
  revoke(): void {
    this.#tokens.clear();
  }
}
