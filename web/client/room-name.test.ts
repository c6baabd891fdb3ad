import { describe, expect, test } from "vitest";
import { parseRoomName, pathOfRoom, roomInPath } from "./room-name.ts";

describe("a room name", () => {
  test.each(["a", "Team-1_B", "회의실", "주간회의-2", "가", "힣", "마".repeat(64)])("may be %s", (name) => {
    expect(parseRoomName(name)).toBe(name);
  });

  // U+1100 is a conjoining jamo, U+3131 a compatibility jamo: neither is a syllable.
  test.each(["", " ", "a b", "a/b", "a.b", "*", "é", "\u1100", "\u3131", "\uD7A4", "會", "a".repeat(65)])(
    "may not be %j",
    (name) => {
      expect(parseRoomName(name)).toBeUndefined();
    },
  );

  test("is composed when a system delivers its letters one by one", () => {
    expect(parseRoomName("회의실".normalize("NFD"))).toBe("회의실");
  });

  test("loses the spaces around it", () => {
    expect(parseRoomName(" weekly ")).toBe("weekly");
  });
});

describe("the path of a room", () => {
  test("leads back to it", () => {
    expect(roomInPath(pathOfRoom("주간회의-1"))).toBe("주간회의-1");
  });

  test.each(["/", "/rooms/", "/rooms/a/b", "/rooms/%", "/rooms/a%20b", "/other/a"])("is not %s", (path) => {
    expect(roomInPath(path)).toBeUndefined();
  });
});
