import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { CriClient } from "../support/cri-client.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { holdsSecret, MARK } from "../support/secret-spy.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(1_500_000, 13);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");
const HASH_IT = ["/bin/sha256sum", "/data/large"];
const HASHED = `${SHA256}  /data/large\n`;
const KUBERNETES = { namespace: "k8s.io" };

let layers: readonly BuiltLayer[];

beforeAll(async () => {
  await buildSociable();
  const data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  layers = [await runnableLayer(), data];
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "sociable serve below Kubernetes' interface", () => {
  test(
    "has images that kubelet pulls start lazily",
    async () => {
      await using host = await ServeHost.start({ config: NO_FILL, cri: {} });
      const app = await host.put({ repository: "app", layers });
      using kubelet = new CriClient(host.containerd.address);
      expect(await kubelet.pullImage(app.name)).toBe(app.image.config.descriptor.digest);
      expect(host.prepared).toEqual({ lazily: 2, whole: 0, byContainerd: 0 });
      expect(await host.run(app.name, HASH_IT, KUBERNETES)).toBe(HASHED);
      await kubelet.removeImage(app.name);
    },
    PATIENCE_MS,
  );

  test.each([{ service: "runtime.v1.ImageService" }] as const)(
    "reads with the login that came with a pull by $service, and tells nobody",
    async ({ service }) => {
      await using host = await ServeHost.start({
        config: (containerd) =>
          `${NO_FILL}[cri_keychain]\nenable_keychain = true\nimage_service_path = ${JSON.stringify(containerd)}\n`,
        cri: {},
        manners: { auth: { kind: "basic", username: "kubelet", password: MARK } },
      });
      const app = await host.put({ repository: "app", layers });
      using kubelet = new CriClient(host.serve.address, { service });
      const auth = { username: "kubelet", password: MARK };
      expect(await kubelet.pullImage(app.name, { auth })).toBe(app.image.config.descriptor.digest);
      expect(host.prepared).toEqual({ lazily: 2, whole: 0, byContainerd: 0 });
      expect(await host.run(app.name, HASH_IT, KUBERNETES)).toBe(HASHED);
      expect(holdsSecret(host.serve.stderr)).toBe(false);
    },
    PATIENCE_MS,
  );

  test(
    "refuses nobody's image: without a login containerd says why the pull fails",
    async () => {
      await using host = await ServeHost.start({
        cri: {},
        manners: { auth: { kind: "basic", username: "kubelet", password: MARK } },
      });
      const app = await host.put({ repository: "app", layers });
      using kubelet = new CriClient(host.containerd.address);
      const failure = await kubelet.pullImage(app.name).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(String(failure)).toContain(app.name);
    },
    PATIENCE_MS,
  );
});
