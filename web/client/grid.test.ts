import { expect, test } from "vitest";
import { bestColumns } from "./grid.ts";

test.each([
  [1, 1280, 720, 1],
  [2, 1280, 720, 2],
  [2, 400, 800, 1],
  [4, 1280, 720, 2],
  [5, 1280, 720, 3],
  [9, 1280, 720, 3],
  [49, 1280, 720, 7],
])("%i tiles in %ix%i stand in %i columns", (count, width, height, columns) => {
  expect(bestColumns(count, width, height)).toBe(columns);
});

test("an area without size has a column", () => {
  expect(bestColumns(3, 0, 0)).toBeGreaterThanOrEqual(1);
});
