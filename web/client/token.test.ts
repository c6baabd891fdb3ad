import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { forgetToken, keptToken, nameIn, takeToken, tokenIn } from "./token.ts";

const replaceState = vi.fn();

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("history", { replaceState });
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  replaceState.mockClear();
});

test.each([
  ["a.b-_9.c", "a.b-_9.c"],
  ["  a.b.c\n", "a.b.c"],
  ["#token=a.b.c", "a.b.c"],
  ["https://rooms.example.com/rooms/x#token=a.b.c", "a.b.c"],
  ["https://rooms.example.com/rooms/x", undefined],
  ["rooms.example.com/a", undefined],
  ["#token=", undefined],
  ["a.b", undefined],
  ["", undefined],
])("in %j there is the token %j", (text, token) => {
  expect(tokenIn(text)).toBe(token);
});

test("a token is taken out of the address and kept", () => {
  const token = takeToken({ hash: "#token=a.b.c", pathname: "/rooms/x", search: "?name=y" });

  expect(token).toBe("a.b.c");
  expect(keptToken()).toBe("a.b.c");
  expect(replaceState).toHaveBeenCalledWith(null, "", "/rooms/x?name=y");
  forgetToken();
  expect(keptToken()).toBeUndefined();
});

test("an address without one stays as it is", () => {
  expect(takeToken({ hash: "#chat", pathname: "/", search: "" })).toBeUndefined();
  expect(replaceState).not.toHaveBeenCalled();
});

test("a token's name is read, and anything else is none", () => {
  const payload = (claims: object) => Buffer.from(JSON.stringify(claims)).toString("base64url");

  expect(nameIn(`a.${payload({ name: "김하나" })}.c`)).toBe("김하나");
  for (const token of [
    undefined,
    "",
    "a.!.c",
    "a.b.c",
    `a.${payload({})}.c`,
    `a.${payload({ name: 7 })}.c`,
  ]) {
    expect(nameIn(token)).toBeUndefined();
  }
});
