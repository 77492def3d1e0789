import { describe, expect, test } from "bun:test";
import { nearestName } from "../../src/config/nearest-name.ts";

const NAMES = ["platform", "all-platforms", "plain-http", "span-size", "json", "root"];

describe("nearestName()", () => {
  test.each([
    { title: "a swapped pair", text: "platfrom", nearest: "platform" },
    { title: "a missing letter", text: "spansize", nearest: "span-size" },
    { title: "another separator", text: "span_size", nearest: "span-size" },
    { title: "another case", text: "JSON", nearest: "json" },
    { title: "an abbreviation", text: "all", nearest: "all-platforms" },
    { title: "a plural", text: "platforms", nearest: "platform" },
  ])("finds the name behind $title", ({ text, nearest }) => {
    expect(nearestName(text, NAMES)).toBe(nearest);
  });

  test.each([
    { title: "nothing in common", text: "xyzzy" },
    { title: "nothing at all", text: "" },
    { title: "an enormous length", text: "platform".repeat(1000) },
  ])("names none for a text with $title", ({ text }) => {
    expect(nearestName(text, NAMES)).toBeUndefined();
  });
});
