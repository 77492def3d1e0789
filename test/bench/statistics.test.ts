import { describe, expect, test } from "bun:test";
import { medianOf, minimumOf, percentileOf } from "./statistics.ts";

describe("medianOf()", () => {
  test.each([
    { title: "the one value", values: [7], median: 7 },
    {
      title: "the middle of an odd number, by size and not by text",
      values: [10, 9, 100],
      median: 10,
    },
    { title: "the mean of the middle two of an even number", values: [4, 1, 3, 2], median: 2.5 },
  ])("is $title", ({ values, median }) => {
    expect(medianOf(values)).toBe(median);
  });

  test("leaves its values as they are", () => {
    const values = [3, 1, 2];
    medianOf(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test("refuses no values", () => {
    expect(() => medianOf([])).toThrow(RangeError);
  });
});

describe("minimumOf()", () => {
  test("refuses no values", () => {
    expect(() => minimumOf([])).toThrow(RangeError);
  });
});

describe("percentileOf()", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);

  test.each([
    { title: "the value that so many are not above", values: hundred, share: 0.99, value: 99 },
    { title: "the largest of few", values: [3, 1, 2], share: 0.99, value: 3 },
    { title: "the smallest for nothing", values: [3, 1, 2], share: 0, value: 1 },
  ])("is $title", ({ values, share, value }) => {
    expect(percentileOf(values, share)).toBe(value);
  });

  test("refuses no values", () => {
    expect(() => percentileOf([], 0.5)).toThrow(RangeError);
  });
});
