import { mkdir, writeFile } from "node:fs/promises";
import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { CriClient } from "../support/cri-client.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { rejectionOf } from "../support/failure.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { assertNoSecretWords } from "../support/secret-patterns.ts";
import { holdsSecret, MARK } from "../support/secret-spy.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(700_000, 23);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const DEBUG = ["--log-level", "debug"];
const CRI_LOGINS = (containerd: string): string =>
  `${NO_FILL}[cri_keychain]\nenable_keychain = true\nimage_service_path = ${JSON.stringify(containerd)}\n`;
const AUTHS: readonly { readonly title: string; readonly auth: RegistryManners["auth"] }[] = [
  { title: "logins", auth: { kind: "basic", username: "kubelet", password: MARK } },
  { title: "tokens", auth: { kind: "bearer", username: "kubelet", password: MARK } },
];

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
}, PATIENCE_MS);

/** Nothing that the log has may be a secret, or look like one. */
function expectNoSecrets({ registry, serve }: ServeHost): void {
  const given = registry.requests.flatMap(({ authorization = "" }) =>
    authorization.split(" ").slice(1),
  );
  expect(holdsSecret(serve.stderr)).toBe(false);
  for (const text of new Set(given)) expect(serve.stderr).not.toContain(text);
  assertNoSecretWords(serve.stderr.split("\n"));
}

/** Docker's file of logins for a registry, and what makes programs find it. */
async function dockerLogin(
  directory: string,
  { host, password }: { readonly host: string; readonly password: string },
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const auth = Buffer.from(`kubelet:${password}`).toString("base64");
  await writeFile(`${directory}/config.json`, JSON.stringify({ auths: { [host]: { auth } } }));
}

describeMounts(CONTAINERD_PROGRAMS, "no secret is in the log of sociable serve", () => {
  test.each(AUTHS)(
    "that came by CRI to a registry of $title",
    async ({ auth }) => {
      await using host = await ServeHost.start({
        config: CRI_LOGINS,
        flags: DEBUG,
        cri: {},
        manners: { auth },
      });
      const app = await host.put({ repository: "app", layers });
      using kubelet = new CriClient(host.serve.address);
      const wrong = { username: "kubelet", password: `${MARK}-wrong` };
      expect(await rejectionOf(kubelet.pullImage(app.name, { auth: wrong }))).toBeDefined();
      const right = { username: "kubelet", password: MARK };
      await kubelet.pullImage(app.name, { auth: right });
      expect(host.prepared.byContainerd).toBe(0);
      expect(await host.run(app.name, HASH_IT, { namespace: "k8s.io" })).toBe(HASHED);
      host.registry.revokeTokens();
      expectNoSecrets(host);
    },
    PATIENCE_MS,
  );

  test.each(AUTHS)(
    "that lay in docker's file for a registry of $title, wrong first and then right",
    async ({ auth }) => {
      await using logins = await tempDir();
      const env = { DOCKER_CONFIG: logins.join("docker") };
      await using host = await ServeHost.start({
        config: NO_FILL,
        env,
        flags: DEBUG,
        manners: { auth },
      });
      const app = await host.put({ repository: "app", layers });
      const login = { host: host.proxy.host, password: MARK };
      // Who pulls may come in; the snapshotter may not, and leaves the image to containerd.
      await dockerLogin(logins.join("other"), login);
      await dockerLogin(env.DOCKER_CONFIG, { ...login, password: `${MARK}-wrong` });
      const before = process.env["DOCKER_CONFIG"];
      process.env["DOCKER_CONFIG"] = logins.join("other");
      try {
        await host.pulled(app.name);
        expect(host.prepared.lazily).toBe(0);
        expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
        await host.containerd.ctrOutput(["images", "rm", "--sync", app.name]);
        await dockerLogin(env.DOCKER_CONFIG, login);
        await host.pulled(app.name);
        expect(host.prepared.lazily).toBeGreaterThan(0);
        expect(await host.run(app.name, HASH_IT)).toBe(HASHED);
      } finally {
        if (before === undefined) delete process.env["DOCKER_CONFIG"];
        else process.env["DOCKER_CONFIG"] = before;
      }
      expectNoSecrets(host);
    },
    PATIENCE_MS,
  );
});
