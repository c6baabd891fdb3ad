import { expect, test } from "vitest";
import { ChatLog, KEPT_MESSAGES } from "./chat-log.ts";
import type { ChatMessage } from "./messages.ts";

test("asks for history first, and after a lost connection for what is missing", () => {
  const log = new ChatLog();

  expect(log.replayHeader).toEqual({ history: "50" });
  log.add(message(7));
  expect(log.replayHeader).toEqual({ since: "7" });
});

test("takes each message once, also when a replay overlaps", () => {
  const log = new ChatLog();

  const taken = [7, 8, 7, 8, 9].map((seq) => log.add(message(seq)));

  expect(taken).toEqual([true, true, false, false, true]);
  expect(log.messages.map(({ seq }) => seq)).toEqual([7, 8, 9]);
});

test("starts over when the server's history is another one", () => {
  const log = new ChatLog();
  log.add(message(7));

  log.reconcile(7);
  expect(log.messages).toHaveLength(1);
  log.reconcile(2);
  expect(log.messages).toHaveLength(0);
  expect(log.replayHeader).toEqual({ history: "50" });
});

test("keeps a bounded number of messages", () => {
  const log = new ChatLog();

  for (let seq = 1; seq <= KEPT_MESSAGES + 10; seq++) log.add(message(seq));

  expect(log.messages).toHaveLength(KEPT_MESSAGES);
  expect(log.messages[0]?.seq).toBe(11);
});

test("forgets a deleted message and does not take it again", () => {
  const log = new ChatLog();
  log.add(message(1));

  log.delete(1);

  expect(log.messages).toHaveLength(0);
  expect(log.add(message(1))).toBe(false);
});

test("shows nothing of a message that was deleted before", () => {
  const log = new ChatLog();

  expect(log.add({ ...message(3), text: "", deleted: true })).toBe(false);

  expect(log.messages).toHaveLength(0);
  expect(log.replayHeader).toEqual({ since: "3" });
});

function message(seq: number): ChatMessage {
  return {
    seq,
    id: `m-${seq}`,
    from: { id: "p-1", name: "하나" },
    text: "안녕",
    sent_at: "2026-01-01T12:00:00Z",
  };
}
