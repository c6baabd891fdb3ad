import { expect, test } from "vitest";
import { isSendKey } from "./send-key.ts";

const enter = { key: "Enter", shiftKey: false, isComposing: false, keyCode: 13 };

test("Enter sends", () => {
  expect(isSendKey(enter)).toBe(true);
});

test.each([
  ["Shift+Enter, a new line", { shiftKey: true }],
  ["Enter that ends a composition", { isComposing: true }],
  ["Enter that Safari reports after a composition", { keyCode: 229 }],
  ["another key", { key: "a", keyCode: 65 }],
])("%s does not send", (_, difference) => {
  expect(isSendKey({ ...enter, ...difference })).toBe(false);
});
