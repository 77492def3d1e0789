import { describe, expect, test } from "bun:test";
import { collect } from "../suite/image-source.ts";
import { TestRegistry } from "../support/registry.ts";
import { clientOf, mirror, origin } from "./mirror-fixture.ts";
import { IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const RANGE = { start: 0, end: 10 };

describe("RegistrySession, mirrors and secrets", () => {
  const mine = { username: "me", password: "for the registry" };
  const theirs = { username: "me", password: "for the mirror" };

  test("never shows a mirror the registry's login", async () => {
    await using near = await startRegistry({ auth: { kind: "basic", ...theirs } });
    await using far = await startRegistry({ auth: { kind: "basic", ...mine } });
    const client = clientOf([mirror(near), origin(far)], { credentials: mine });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(near.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("looks each host's login up by its own name", async () => {
    await using near = TestRegistry.start({ auth: { kind: "basic", ...theirs } });
    await using far = await startRegistry({ auth: { kind: "basic", ...mine } });
    const names: string[] = [];
    const logins = new Map([
      [near.host, theirs],
      [far.host, mine],
    ]);
    const keychain = (host: string) => {
      names.push(host);
      return Promise.resolve(logins.get(host));
    };
    await clientOf([mirror(near), origin(far)], { keychain }).getManifest(V1);
    expect(names).toEqual([near.host, far.host]);
    const shown = ({ requests }: TestRegistry) =>
      requests.flatMap(({ authorization }) =>
        authorization === undefined
          ? []
          : [Buffer.from(authorization.slice(6), "base64").toString()],
      );
    expect(shown(near)).toEqual(["me:for the mirror"]);
    expect(shown(far)).toEqual(["me:for the registry"]);
  });

  test("sends a host's own headers to it alone, not to where it redirects", async () => {
    await using store = await startRegistry();
    await using near = await startRegistry({
      redirectBlobsTo: `${store.url}/v2/app/blobs/`,
    });
    await using far = await startRegistry();
    const headers = { "x-secret": "for the mirror" };
    const client = clientOf([mirror(near, { headers }), origin(far)]);
    await collect(client.getBlobRange(LAYER.descriptor, RANGE));
    near.failNext(1, { status: 404 });
    await client.getManifest(V1);
    const seen = (registry: TestRegistry) =>
      registry.requests.map((request) => request.headers.get("x-secret"));
    expect(seen(near)).toEqual(["for the mirror", "for the mirror"]);
    expect(seen(store)).toEqual([null]);
    expect(seen(far)).toEqual([null]);
  });
});
