import { isAbsolute } from "node:path";
import { SociError } from "../errors.ts";

/** Where a daemon listens: on a socket it makes, or on one that systemd has made. */
export type SocketAddress =
  { readonly kind: "path"; readonly path: string } | { readonly kind: "activation" };

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/** Parses a path, `unix://PATH` or `fd://`. @throws invalid-argument */
export function parseSocketAddress(text: string): SocketAddress {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === "fd") return { kind: "activation" };
  if (scheme !== undefined && scheme !== "unix") {
    throw new SociError("invalid-argument", `unknown protocol for address ${text}`, {
      hint: "Name a socket by its path, as unix://PATH, or take systemd's with fd://",
    });
  }
  const path = scheme === undefined ? text : text.slice("unix://".length);
  if (!isAbsolute(path)) {
    throw new SociError(
      "invalid-argument",
      `Cannot listen on "${text}": the path is not absolute, want one that starts with /`,
    );
  }
  return { kind: "path", path };
}

/** First descriptor that systemd passes. sd_listen_fds(3): SD_LISTEN_FDS_START */
const FIRST_FD = 3;

export interface ActivationOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
}

/**
 * The descriptor of the socket that systemd has passed to this process; undefined when it passed none.
 * sd_listen_fds(3). @throws failed-precondition when there are several
 */
export function activationFd({ env, pid }: ActivationOptions): number | undefined {
  if (Number(env["LISTEN_PID"]) !== pid) return undefined;
  const count = Number(env["LISTEN_FDS"] ?? "0");
  if (!Number.isSafeInteger(count) || count <= 0) return undefined;
  if (count > 1) {
    throw new SociError(
      "failed-precondition",
      `Cannot listen on systemd's socket: it passed ${count}, want one`,
      { hint: "Give the .socket unit a single ListenStream=" },
    );
  }
  return FIRST_FD;
}
