import { expect, test, vi } from "vitest";

test.each([
  ["ko", "ko"],
  ["ko-KR", "ko"],
  ["en-US", "en"],
  ["de", "en"],
])("a browser in %s gets the texts in %s", async (browser, expected) => {
  vi.stubGlobal("navigator", { language: browser });
  vi.resetModules();

  const { language, texts } = await import("./texts.ts");

  expect(language).toBe(expected);
  expect(texts.join).toBe(expected === "ko" ? "입장하기" : "Join");
});
