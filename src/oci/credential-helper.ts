import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Credentials } from "./credentials.ts";
import { JsonObject, parseJson } from "./json-document.ts";

export interface CredentialHelperOptions extends WaitOptions {
  /** The environment of the helper; its PATH is where it is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs?: number;
}

/** What the helper had to say, and how it ended. */
interface HelperAnswer {
  readonly output: Uint8Array;
  readonly exitCode: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_OUTPUT = 1024 * 1024;
const MAX_QUOTED = 300;
// What helpers say when they have none: of docker's own library, and of a few others.
const NOT_FOUND =
  /credentials not found|no credentials (?:server URL|username)|not found in .*keychain/i;
// The user name that marks a refresh token.
const TOKEN_USER = "<token>";

/**
 * Asks a credential helper, `docker-credential-<name> get`, for a login; `undefined` when it has
 * none. https://github.com/docker/docker-credential-helpers#development
 * @throws unauthenticated when the helper is missing, fails, takes too long or talks nonsense
 */
export async function askCredentialHelper(
  name: string,
  serverUrl: string,
  { env, timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CredentialHelperOptions,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  const path = Bun.which(program, { PATH: env["PATH"] ?? "" });
  if (path === null) {
    throw failure(program, serverUrl, "there is no such program on the PATH");
  }
  const { output, exitCode } = await runHelper(path, serverUrl, {
    env,
    signal,
    timeoutMs,
    fail: (what) => failure(program, serverUrl, what),
  });
  if (exitCode !== 0) {
    const said = new TextDecoder().decode(output).replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
    if (NOT_FOUND.test(said)) {
      return undefined;
    }
    const quoted = JSON.stringify(said.trim().slice(0, MAX_QUOTED));
    throw failure(program, serverUrl, `it ended with code ${exitCode} and said ${quoted}`);
  }
  try {
    return parseAnswer(output);
  } catch (cause) {
    throw failure(program, serverUrl, "what it printed is no login", cause);
  }
}

function parseAnswer(output: Uint8Array): Credentials | undefined {
  const what = "answer of a credential helper";
  const limits = { maxBytes: MAX_OUTPUT, isSecret: true };
  const json = new JsonObject(parseJson(output, what, limits), what);
  const username = json.optionalString("Username") ?? "";
  const secret = json.optionalString("Secret") ?? "";
  if (secret === "") {
    return undefined;
  }
  return username === TOKEN_USER ? { identityToken: secret } : { username, password: secret };
}

async function runHelper(
  path: string,
  serverUrl: string,
  {
    env,
    signal,
    timeoutMs,
    fail,
  }: CredentialHelperOptions & {
    readonly timeoutMs: number;
    readonly fail: (what: string) => SociError;
  },
): Promise<HelperAnswer> {
  signal?.throwIfAborted();
  const child = Bun.spawn([path, "get"], {
    stdin: new TextEncoder().encode(serverUrl),
    stdout: "pipe",
    stderr: "ignore",
    env: { ...env },
    // A group of its own: what the helper starts ends with it, and lets go of the pipe.
    detached: true,
  });
  const stopped = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    stopped.reject(fail(`it had not answered after ${timeoutMs / 1000} s`));
  }, timeoutMs);
  const onAbort = (): void => stopped.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const answer = readAnswer(child.stdout, fail).then(async (bytes) => {
      return { output: bytes, exitCode: await child.exited };
    });
    return await Promise.race([answer, stopped.promise]);
  } catch (error) {
    killGroup(child.pid);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function readAnswer(
  output: AsyncIterable<Uint8Array>,
  fail: (what: string) => SociError,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of output) {
    size += chunk.length;
    if (size > MAX_OUTPUT) {
      throw fail(`it printed more than ${MAX_OUTPUT} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended already, and all that it started.
  }
}

function failure(program: string, serverUrl: string, what: string, cause?: unknown): SociError {
  return new SociError(
    "unauthenticated",
    `Cannot get the login for "${serverUrl}" from ${program}: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
