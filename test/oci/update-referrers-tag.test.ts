import { describe, expect, test } from "bun:test";
import { mapConcurrent } from "../../src/async/map-concurrent.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import type { RegistryClient } from "../../src/oci/registry.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { clientOf } from "./registry-fixture.ts";

const ARTIFACT = "application/vnd.test.index.v1+json";

// Entries must exist for the registry to take the index.
function addEntry(registry: TestRegistry, text: string): Descriptor {
  const bytes = new TextEncoder().encode(text);
  const stored = registry.addManifest("app", { mediaType: OCI_MANIFEST, bytes });
  return { ...stored, artifactType: ARTIFACT };
}

async function listed(client: RegistryClient, subject: Digest): Promise<readonly Digest[]> {
  return (await client.referrers(subject, ARTIFACT)).map(({ digest }) => digest);
}

function start(etags: RegistryManners["etags"]): TestRegistry {
  return TestRegistry.start({ referrersApi: false, etags });
}

describe("updateReferrersTag() and a second pusher at the same time", () => {
  const rounds = Array.from({ length: 200 }, (_, round) => round);

  test("loses nothing in 200 rounds where conditional writes are honoured", async () => {
    await using registry = start("honoured");
    const pushers = [clientOf(registry), clientOf(registry)];
    const missing = await mapConcurrent(
      rounds,
      async (round) => {
        const subject = digestOf(`subject ${round}`);
        const entries = pushers.map((_, who) => addEntry(registry, `${round} by ${who}`));
        await Promise.all(
          pushers.map((pusher, who) =>
            pusher.updateReferrersTag({
              subject,
              referrer: entries[who] ?? addEntry(registry, ""),
            }),
          ),
        );
        const found = await listed(clientOf(registry), subject);
        return entries.filter(({ digest }) => !found.includes(digest)).length;
      },
      { limit: 40 },
    );
    expect(missing.reduce((sum, count) => sum + count, 0)).toBe(0);
  }, 30_000);

  test.each<{ etags: RegistryManners["etags"] }>([{ etags: "none" }, { etags: "ignored" }])(
    "loses nothing unsaid in 200 rounds where they are not: ETags $etags",
    async ({ etags }) => {
      await using registry = start(etags);
      const pushers = [clientOf(registry), clientOf(registry)];
      const lost = await mapConcurrent(
        rounds,
        async (round) => {
          const subject = digestOf(`subject ${round}`);
          const entries = pushers.map((_, who) => addEntry(registry, `${round} by ${who}`));
          const outcomes = await Promise.allSettled(
            pushers.map((pusher, who) =>
              pusher.updateReferrersTag({
                subject,
                referrer: entries[who] ?? addEntry(registry, ""),
              }),
            ),
          );
          const found = await listed(clientOf(registry), subject);
          return outcomes.filter(
            ({ status }, who) =>
              status === "fulfilled" && !found.includes(entries[who]?.digest ?? digestOf("")),
          ).length;
        },
        { limit: 40 },
      );
      expect(lost.reduce((sum, count) => sum + count, 0)).toBe(0);
    },
    60_000,
  );
});

describe("updateReferrersTag()", () => {
  const subject = digestOf("subject");

  test("writes again when another came between", async () => {
    await using registry = start("honoured");
    const referrer = addEntry(registry, "ours");
    registry.failNext(1, { status: 412, method: "PUT" });
    await clientOf(registry).updateReferrersTag({ subject, referrer });
    expect(await listed(clientOf(registry), subject)).toEqual([referrer.digest]);
  });

  test("goes without conditions where they are refused for no reason", async () => {
    await using registry = start("ignored");
    const client = clientOf(registry);
    await client.updateReferrersTag({ subject, referrer: addEntry(registry, "first") });
    registry.failNext(1, { status: 412, method: "PUT" });
    registry.clearRequests();
    await client.updateReferrersTag({ subject, referrer: addEntry(registry, "second") });
    const puts = registry.requests.filter(({ method }) => method === "PUT");
    expect(puts.map(({ headers }) => headers.has("if-match"))).toEqual([true, false]);
  });

  test("reports that others overwrite it all the time", async () => {
    await using registry = start("none");
    const referrer = addEntry(registry, "ours");
    // Whatever is written is gone when it is read again.
    registry.failNext(1000, { status: 404, method: "GET", path: /manifests\/sha256-/ });
    const update = clientOf(registry).updateReferrersTag({ subject, referrer });
    await expect(update).rejects.toMatchObject({ kind: "unavailable" });
  }, 20_000);

  test("writes nothing when the very entry is there", async () => {
    await using registry = start("none");
    const referrer = addEntry(registry, "ours");
    const client = clientOf(registry);
    const { digest } = await client.updateReferrersTag({ subject, referrer });
    registry.clearRequests();
    const again = await client.updateReferrersTag({ subject, referrer });
    expect(again).toEqual({ digest, previous: undefined, deleted: false });
    expect(registry.requests.map(({ method }) => method)).toEqual(["GET"]);
  });

  test("is done also where the index of before cannot be removed", async () => {
    await using registry = start("none");
    const client = clientOf(registry);
    await client.updateReferrersTag({ subject, referrer: addEntry(registry, "first") });
    registry.failNext(100, { status: 500, method: "DELETE" });
    const update = await client.updateReferrersTag({
      subject,
      referrer: addEntry(registry, "second"),
    });
    expect(update.deleted).toBe(false);
  });
});
