import { expect, test } from "vitest";
import { initials } from "./initials.ts";

test.each([
  ["Kim Hana", "KH"],
  ["dana", "D"],
  ["Anna Maria van Dyck", "AD"],
  ["김하나", "하나"],
  ["이둘", "이둘"],
  ["김", "김"],
  ["😀 smile", "😀S"],
  ["", ""],
])("%j becomes %j", (name, expected) => {
  expect(initials(name)).toBe(expected);
});
