import { expect, test } from "vitest";
import { tileWidth } from "./grid.ts";

test.each([
  { count: 1, width: 1600, height: 900, gap: 10, expected: 1600 },
  { count: 2, width: 1600, height: 450, gap: 10, expected: 795 },
  { count: 2, width: 400, height: 800, gap: 10, expected: 400 },
  { count: 4, width: 1610, height: 910, gap: 10, expected: 800 },
  { count: 9, width: 1620, height: 920, gap: 10, expected: 533 },
])("$count tiles in $width × $height are $expected wide", ({ count, width, height, gap, expected }) => {
  expect(tileWidth(count, width, height, gap)).toBe(expected);
});

test("more tiles are never larger, and always fit", () => {
  for (let count = 1; count < 49; count++) {
    const tile = tileWidth(count, 1280, 720, 11);
    const columns = Math.floor((1280 + 11) / (tile + 11));
    const rows = Math.ceil(count / columns);

    expect((rows * (tile * 9)) / 16 + (rows - 1) * 11).toBeLessThanOrEqual(720);
    expect(tileWidth(count + 1, 1280, 720, 11)).toBeLessThanOrEqual(tile);
  }
});

test("an area without size has tiles without size", () => {
  expect(tileWidth(3, 0, 0, 11)).toBe(0);
});
