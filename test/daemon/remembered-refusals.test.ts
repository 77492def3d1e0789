import { describe, expect, test } from "bun:test";
import { RememberedRefusals } from "../../src/daemon/remembered-refusals.ts";
import { digestOf } from "../../src/oci/digest.ts";

const LAYER = digestOf(Buffer.from("layer"));

describe("RememberedRefusals", () => {
  test("remembers the last reason, until it is forgotten", () => {
    const refusals = new RememberedRefusals();
    expect(refusals.of(LAYER)).toBe("");
    refusals.add(LAYER, "timeout");
    refusals.add(LAYER, "no-index");
    expect(refusals.of(LAYER)).toBe("no-index");
    refusals.forget(LAYER);
    expect(refusals.of(LAYER)).toBe("");
  });

  test("forgets the oldest when there are too many", () => {
    const refusals = new RememberedRefusals();
    refusals.add(LAYER, "old");
    const other = digestOf(Buffer.from("other"));
    refusals.add(other, "older");
    // Told again it is the newest.
    refusals.add(LAYER, "new");
    for (let count = 0; count < 4095; count++) {
      refusals.add(digestOf(Buffer.from(`layer ${count}`)), "x");
    }
    expect(refusals.of(other)).toBe("");
    expect(refusals.of(LAYER)).toBe("new");
    refusals.add(digestOf(Buffer.from("one more")), "x");
    expect(refusals.of(LAYER)).toBe("");
  });
});
