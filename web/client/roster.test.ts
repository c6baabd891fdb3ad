import { beforeEach, expect, test } from "vitest";
import type { Joined, Participant, Slot, SourceKind } from "./messages.ts";
import { Roster } from "./roster.ts";

let roster: Roster;

beforeEach(() => {
  roster = new Roster();
  roster.reset(
    joined(participant("me", 3), [participant("b", 2), participant("a", 1), participant("me", 3)]),
  );
});

test("lists the others in join order, without oneself", () => {
  expect(roster.others.map(({ id }) => id)).toEqual(["a", "b"]);
  expect(roster.size).toBe(3);
  expect(roster.self?.id).toBe("me");
});

test("follows who comes, changes and goes", () => {
  roster.apply({ type: "participant_joined", participant: participant("c", 4) });
  roster.apply({ type: "participant_changed", participant: { ...participant("a", 1), muted: true } });
  roster.apply({ type: "participant_left", participant: participant("b", 2), reason: "left" });

  expect(roster.others.map(({ id, muted }) => [id, muted])).toEqual([
    ["a", true],
    ["c", false],
  ]);
});

test("hearing of somebody twice shows them once", () => {
  roster.apply({ type: "participant_joined", participant: participant("a", 1) });

  expect(roster.size).toBe(3);
});

test("knows which slot shows whom", () => {
  roster.showSlots([slot("2", "a", "microphone"), slot("5", "a", "camera"), slot("6", null, null)]);

  expect(roster.videoSlot("a")?.mid).toBe("5");
  expect(roster.videoSlot("b")).toBeUndefined();
});

test("knows whose picture this browser cannot decode", () => {
  roster.showSlots([{ ...slot("5", "a", "camera"), reason: "codec" }, slot("6", "b", "camera")]);

  expect(roster.isUndecodable("a")).toBe(true);
  expect(roster.isUndecodable("b")).toBe(false);
});

test("a slot that goes to somebody else is taken from the one before", () => {
  roster.showSlots([slot("5", "a", "camera")]);
  roster.showSlots([slot("5", "b", "camera")]);

  expect(roster.videoSlot("a")).toBeUndefined();
  expect(roster.videoSlot("b")?.mid).toBe("5");
});

test("shows a screen rather than a camera", () => {
  roster.showSlots([slot("5", "a", "camera"), slot("6", "a", "screen")]);

  expect(roster.videoSlot("a")?.mid).toBe("6");
});

test("coming back without slots keeps the ones known", () => {
  roster.showSlots([slot("5", "a", "camera")]);
  roster.reset(joined(participant("me", 3), [participant("a", 1)]));

  expect(roster.videoSlot("a")?.mid).toBe("5");
});

test("knows who speaks and publishes", () => {
  roster.apply({ type: "speakers", speakers: [{ participant: "a", level: 20 }] });
  roster.apply({ type: "source_added", participant: "a", source: "camera" });
  roster.apply({ type: "source_added", participant: "a", source: "camera" });

  expect(roster.isSpeaking("a")).toBe(true);
  expect(roster.others[0]?.sources).toEqual(["camera"]);
  roster.apply({ type: "speakers", speakers: [] });
  roster.apply({ type: "source_removed", participant: "a", source: "camera" });
  expect(roster.isSpeaking("a")).toBe(false);
  expect(roster.others[0]?.sources).toEqual([]);
});

function participant(id: string, second: number): Participant {
  return {
    id,
    name: id,
    role: "speaker",
    joined_at: `2026-01-01T12:00:0${second}Z`,
    muted: false,
    camera_off: false,
    hand_raised: false,
    sources: [],
  };
}

function joined(self: Participant, participants: Participant[]): Joined {
  return { type: "joined", participant: self, participants, resume_token: "t", ice_servers: [], chat_seq: 0 };
}

function slot(mid: string, of: string | null, source: SourceKind | null): Slot {
  return { mid, participant: of, source };
}
