import { readFile, writeFile } from "node:fs/promises";
import type { TempDir } from "./temp-dir.ts";

/** A certificate and its key, as files and as PEM texts. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** The authority of all others, which nobody trusts but who is told to. */
  readonly ca: Certificate;
  /** For localhost and 127.0.0.1. */
  readonly server: Certificate;
  /** For a host of another name. */
  readonly otherServer: Certificate;
  /** For a client that shows who it is. */
  readonly client: Certificate;
}

const SERVER_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1";

/** Makes an authority and certificates of it, in `dir`. Needs openssl. */
export async function makeCertificates(dir: TempDir): Promise<Certificates> {
  const ca = await issue(dir, "ca", { extension: "basicConstraints=critical,CA:TRUE" });
  return {
    ca,
    server: await issue(dir, "server", { extension: SERVER_NAMES, issuer: ca }),
    otherServer: await issue(dir, "other", {
      extension: "subjectAltName=DNS:other.example",
      issuer: ca,
    }),
    client: await issue(dir, "client", { extension: "extendedKeyUsage=clientAuth", issuer: ca }),
  };
}

async function issue(
  dir: TempDir,
  name: string,
  { extension, issuer }: { readonly extension: string; readonly issuer?: Certificate },
): Promise<Certificate> {
  const [certFile, keyFile, requestFile, extensionFile] = [
    dir.join(`${name}.pem`),
    dir.join(`${name}.key`),
    dir.join(`${name}.csr`),
    dir.join(`${name}.ext`),
  ];
  await writeFile(extensionFile, `${extension}\n`);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(
    "req",
    "-new",
    ...newKey,
    "-keyout",
    keyFile,
    "-out",
    requestFile,
    "-subj",
    `/CN=${name}`,
  );
  const signer =
    issuer === undefined
      ? ["-signkey", keyFile]
      : ["-CA", issuer.certFile, "-CAkey", issuer.keyFile, "-CAcreateserial"];
  const sign = [
    "-req",
    "-in",
    requestFile,
    "-out",
    certFile,
    "-days",
    "2",
    "-extfile",
    extensionFile,
  ];
  await openssl("x509", ...sign, ...signer);
  return {
    certFile,
    keyFile,
    cert: await readFile(certFile, "utf8"),
    key: await readFile(keyFile, "utf8"),
  };
}

async function openssl(...argv: readonly string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...argv], { stdio: ["ignore", "ignore", "pipe"] });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`openssl ${argv[0]}: ${stderr}`);
}
