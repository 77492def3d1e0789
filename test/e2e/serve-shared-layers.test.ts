import { beforeAll, expect, test } from "bun:test";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { type BuiltLayer, buildLayer } from "../support/image-builder.ts";
import { runnableLayer } from "../support/runnable-image.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { NO_FILL, ServeHost } from "../support/serve-host.ts";
import { buildSociable } from "../support/sociable-binary.ts";

const PATIENCE_MS = 120_000;
const LARGE = sampleBytes(4_000_000, 53);
const SHA256 = new Bun.CryptoHasher("sha256").update(LARGE).digest("hex");

let base: BuiltLayer;
let data: BuiltLayer;
let top: BuiltLayer;

beforeAll(async () => {
  await buildSociable();
  base = await runnableLayer();
  data = await buildLayer({ entries: [{ name: "data/large", content: LARGE }] });
  top = await buildLayer({ entries: [{ name: "etc/greeting", content: "hello\n" }] });
}, PATIENCE_MS);

describeMounts(CONTAINERD_PROGRAMS, "layers that images share in sociable serve", () => {
  test.each([{ isRestarted: false }, { isRestarted: true }])(
    "are fetched by the image that is left, restarted: $isRestarted",
    async ({ isRestarted }) => {
      await using host = await ServeHost.start({ config: NO_FILL });
      const first = await host.put({ repository: "first", layers: [base, data] });
      const second = await host.put({ repository: "second", layers: [base, data, top] });
      await host.pulled(first.name);
      await host.pulled(second.name);
      await host.containerd.ctrOutput(["images", "rm", "--sync", first.name]);
      // The login went with the image.
      host.registry.failNext(Number.POSITIVE_INFINITY, { path: /^\/v2\/first\//, status: 401 });
      if (isRestarted) await host.restartServe();
      const hashed = await host.run(second.name, ["/bin/sha256sum", "/data/large"]);
      expect(hashed).toBe(`${SHA256}  /data/large\n`);
      const fetched = host.registry.requests.filter(
        ({ path, status }) => path.endsWith(data.descriptor.digest) && status < 400,
      );
      expect(fetched.length).toBeGreaterThan(0);
      expect(fetched.every(({ path }) => path.startsWith("/v2/second/"))).toBe(true);
    },
    PATIENCE_MS,
  );
});
