import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** Names of PEM files. */
export interface TlsFiles {
  /** Authorities to trust beside the usual ones. */
  readonly ca?: readonly string[];
  /** Our own certificate; its key may be in the same file. */
  readonly client?: { readonly cert: string; readonly key?: string | undefined } | undefined;
  readonly skipVerify?: boolean | undefined;
}

const MAX_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads what the files hold; `undefined` when there is nothing to set. What the system trusts goes
 * on being trusted. @throws failed-precondition that names the file
 */
export async function loadTls(
  { ca = [], client, skipVerify = false }: TlsFiles,
  options: WaitOptions = {},
): Promise<TlsSettings | undefined> {
  if (ca.length === 0 && client === undefined && !skipVerify) {
    return undefined;
  }
  const authorities: string[] = [];
  for (const path of ca) {
    authorities.push(...(await readCertificates(path, options)));
  }
  const identity = client === undefined ? undefined : await readIdentity(client, options);
  return {
    ...(authorities.length === 0 ? {} : { ca: beside(authorities) }),
    ...(identity === undefined ? {} : { client: identity }),
    ...(skipVerify ? { skipVerify } : {}),
  };
}

// A list of our own replaces the default ones, and a redirect may lead to any host.
function beside(authorities: readonly string[]): readonly string[] {
  return [
    ...new Set([...getCACertificates("default"), ...getCACertificates("system"), ...authorities]),
  ];
}

async function readCertificates(path: string, options: WaitOptions): Promise<readonly string[]> {
  const text = await readText(path, options);
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) {
    throw unusable(path, "it holds no certificate in PEM");
  }
  for (const [index, pem] of found.entries()) {
    checkCertificate(pem, path, `certificate ${index + 1} of ${found.length}`);
  }
  return found;
}

async function readIdentity(
  files: { readonly cert: string; readonly key?: string | undefined },
  options: WaitOptions,
): Promise<{ readonly cert: string; readonly key: string }> {
  const cert = await readText(files.cert, options);
  const [first] = cert.match(CERTIFICATE) ?? [];
  if (first === undefined) {
    throw unusable(files.cert, "it holds no certificate in PEM");
  }
  const certificate = checkCertificate(first, files.cert, "its certificate");
  const keyFile = files.key ?? files.cert;
  const key = files.key === undefined ? cert : await readText(files.key, options);
  if (!certificate.checkPrivateKey(parseKey(key, keyFile))) {
    throw unusable(keyFile, `its private key is not that of the certificate in "${files.cert}"`);
  }
  return { cert, key };
}

function checkCertificate(pem: string, path: string, which: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw unusable(path, `${which} cannot be read`, cause);
  }
}

function parseKey(pem: string, path: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw unusable(path, "it holds no private key that can be read without a passphrase", cause);
  }
}

async function readText(path: string, { signal }: WaitOptions): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unusable(path, "it cannot be read", cause);
  }
  if (bytes.length > MAX_BYTES) {
    throw unusable(path, `it has ${bytes.length} bytes, want at most ${MAX_BYTES}`);
  }
  return new TextDecoder().decode(bytes);
}

function unusable(path: string, what: string, cause?: unknown): SociError {
  return new SociError("failed-precondition", `Cannot use "${path}" for TLS: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
