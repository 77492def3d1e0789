import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { loadTls } from "../../src/oci/tls-files.ts";
import { makeCertificates } from "../support/certificates.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

describe("loadTls()", () => {
  test("has nothing to set without files", async () => {
    expect(await loadTls({ ca: [], client: undefined, skipVerify: false })).toBeUndefined();
  });

  test("trusts what the system trusts beside the authorities given", async () => {
    await using dir = await tempDir();
    const { ca, server } = await makeCertificates(dir);
    const bundle = dir.join("bundle.pem");
    await writeFile(bundle, `# two\n${ca.cert}\nsome text\n${server.cert}`);
    const tls = await loadTls({ ca: [bundle] });
    const trusted = new Set(tls?.ca?.map((pem) => pem.trim()));
    expect(trusted.has(ca.cert.trim())).toBe(true);
    expect(trusted.has(server.cert.trim())).toBe(true);
    expect(trusted.size).toBeGreaterThan(rootCertificates.length);
  });

  test("has no list of authorities when none are given", async () => {
    await using dir = await tempDir();
    const { client } = await makeCertificates(dir);
    const tls = await loadTls({ client: { cert: client.certFile, key: client.keyFile } });
    expect(tls).toEqual({ client: { cert: client.cert, key: client.key } });
  });

  test.each([
    { title: "an authority that is not there", files: { ca: ["none.pem"] }, says: "none.pem" },
    { title: "an authority of no PEM", files: { ca: ["text"] }, says: "no certificate in PEM" },
    { title: "a key in the place of an authority", files: { ca: ["ca.key"] }, says: "ca.key" },
    { title: "a damaged authority", files: { ca: ["damaged"] }, says: "certificate 1 of 1" },
    {
      title: "a certificate without key",
      files: { client: { cert: "client.pem" } },
      says: "no private key",
    },
    {
      title: "the key of another certificate",
      files: { client: { cert: "client.pem", key: "server.key" } },
      says: "is not that of the certificate",
    },
    {
      title: "a damaged key",
      files: { client: { cert: "client.pem", key: "damaged-key" } },
      says: "no private key",
    },
    {
      title: "a key in the place of the certificate",
      files: { client: { cert: "client.key", key: "client.key" } },
      says: "no certificate",
    },
    { title: "a directory", files: { ca: ["."] }, says: "cannot be read" },
  ])("refuses $title, and names the file", async ({ files, says }) => {
    await using dir = await tempDir();
    const { ca, client } = await makeCertificates(dir);
    await writeFile(dir.join("text"), "hello");
    await writeFile(dir.join("damaged"), ca.cert.replace(/\n.{64}\n/, "\n"));
    await writeFile(
      dir.join("damaged-key"),
      client.key.replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
    );
    const absolute = (name: string): string => dir.join(name);
    const { client: pair, ca: names = [] } = {
      client: undefined as { cert: string; key?: string } | undefined,
      ...files,
    };
    const error = await rejectionOf(
      loadTls({
        ca: names.map(absolute),
        client:
          pair === undefined
            ? undefined
            : {
                cert: absolute(pair.cert),
                ...(pair.key === undefined ? {} : { key: absolute(pair.key) }),
              },
      }),
    );
    expect(error).toMatchObject({ kind: "failed-precondition" });
    expect(messagesOf(error)).toContain(says);
    expect(messagesOf(error)).toContain(dir.path);
  });
});
