import { describe, expect, test } from "bun:test";
import type { ContainerdNamespace } from "../../src/containerd/containerd-client.ts";
import { manifestsIn } from "../../src/daemon/containerd-manifests.ts";
import { SociError } from "../../src/errors.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";

const BYTES = Buffer.from("a manifest of an image");
const DIGEST = digestOf(BYTES);

interface Content {
  readonly info: () => Promise<{ readonly size: number } | undefined>;
  readonly read?: () => AsyncIterable<Uint8Array>;
}

function manifests(content: Content) {
  return manifestsIn({ content } as unknown as ContainerdNamespace, NO_LOG);
}

async function* chunks(): AsyncIterable<Uint8Array> {
  yield BYTES.subarray(0, 5);
  yield BYTES.subarray(5);
}

describe("manifestsIn()", () => {
  test("reads what a pull has just written", async () => {
    const find = manifests({ info: async () => ({ size: BYTES.length }), read: chunks });
    expect(await find(DIGEST, {})).toEqual(BYTES);
  });

  test.each([
    { title: "that is not there", info: async () => undefined },
    { title: "that is too large", info: async () => ({ size: (4 << 20) + 1 }) },
    {
      title: "of a containerd that does not run",
      info: async () => {
        throw new SociError("unavailable", "no containerd");
      },
    },
  ])("leaves a manifest $title to the registry", async ({ info }) => {
    const read = (): never => {
      throw new Error("nobody was to read it");
    };
    expect(await manifests({ info, read })(DIGEST, {})).toBeUndefined();
  });

  test("throws the signal's reason, and bugs", async () => {
    const giveUp = new AbortController();
    const info = async (): Promise<never> => {
      giveUp.abort(new Error("client is gone"));
      throw new SociError("unavailable", "cancelled");
    };
    const find = manifests({ info });
    expect(await rejectionOf(find(DIGEST, { signal: giveUp.signal }))).toMatchObject({
      message: "client is gone",
    });
    const buggy = manifests({
      info: async () => {
        throw new TypeError("undefined is not a function");
      },
    });
    expect(await rejectionOf(buggy(DIGEST, {}))).toBeInstanceOf(TypeError);
  });
});
