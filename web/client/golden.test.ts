/** Reads the example frames that the server's tests read as well, so that both sides agree on the bytes. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { IceServers } from "./ice-servers.ts";
import type { ChatMessage, RoomEvent, RoomSummary, Signal } from "./messages.ts";
import { Refused, Signalling, Unanswered } from "./signalling.ts";

const golden = import.meta.glob<string>("../../control/wire/golden/*.frame", {
  query: "?raw",
  import: "default",
  eager: true,
});
const room = "주간회의-1";

/** Differs between tests, because a client reconnects after its connection is cut. */
let url: string;
let signalling: Signalling;
let socket: ServerEnd;

beforeEach(async () => {
  vi.stubGlobal("WebSocket", ServerEnd);
  url = `ws://madang.test/${Math.random()}`;
  signalling = new Signalling(url);
  socket = await ServerEnd.opened(url);
  socket.say(frame("connected"));
  await vi.waitFor(() => expect(signalling.isOpen).toBe(true));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test("CONNECT offers all versions and heart-beats", () => {
  expect(parse(socket.heard[0])).toMatchObject({
    command: "CONNECT",
    headers: { "accept-version": "1.2,1.1,1.0", "heart-beat": "10000,10000" },
  });
});

test("CONNECT shows the token as the server reads it", async () => {
  const { Authorization } = parse(frame("connect_with_token")).headers;
  const there = `${url}/with-token`;
  new Signalling(there, Authorization?.replace("Bearer ", ""));
  const other = await ServerEnd.opened(there);

  expect(other.lastHeard().headers).toMatchObject({ Authorization });
});

test("a page that may not connect does not try again", async () => {
  const shutOut = vi.fn();
  signalling.onShutOut = shutOut;

  socket.say("ERROR\nmessage:token expired\n\nIt ended.\0");

  expect(shutOut).toHaveBeenCalledWith({ why: "token expired", detail: "It ended." });
  await vi.waitFor(() => expect(signalling.isOpen).toBe(false));
});

test("a join with media is sent as the server reads it", () => {
  const expected = parse(frame("request_join_with_media"));

  void signalling.request(room, "join", "joined", JSON.parse(expected.body) as object).catch(() => {});

  expect(socket.lastHeard()).toEqual({
    ...expected,
    headers: { ...expected.headers, "correlation-id": "c-1" },
  });
});

test.each(["request_offer", "request_sources", "request_view", "request_state", "request_leave"])(
  "%s goes where the server expects it",
  (name) => {
    const expected = parse(frame(name));
    const action = expected.headers.destination?.split("/").at(-1) ?? "";

    signalling.send(room, action, JSON.parse(expected.body) as object);

    const { command, headers, body } = socket.lastHeard();
    expect(command).toBe("SEND");
    expect(headers).toMatchObject({
      destination: expected.headers.destination,
      "content-length": expected.headers["content-length"],
      "content-type": "application/json",
    });
    expect(body).toBe(expected.body);
  },
);

test("a reply goes to whoever asked", async () => {
  const first = signalling.request(room, "join", "joined", { name: "하나" });
  const second = signalling.request(room, "offer", "answer", { sdp: "v=0\r\n" });

  socket.say(frame("signal_answer"), { "correlation-id": "c-2" });
  socket.say(frame("signal_joined_with_media"), { "correlation-id": "c-1" });

  expect((await second).sdp).toBe("v=0\r\n");
  const joined = await first;
  expect(joined.participant.name).toBe("김하나");
  expect(joined.participants.map(({ name }) => name)).toContain("이두리");
  expect(joined.answer).toBeTypeOf("string");
  expect(joined.slots?.length).toBeGreaterThan(0);
  expect(joined.ice_servers.length).toBeGreaterThan(0);
});

test("a refusal carries the server's code and words", async () => {
  const asked = signalling.request(room, "join", "joined", {});

  socket.say(frame("signal_error"), { "correlation-id": "c-1" });

  await expect(asked).rejects.toThrow(/missing field `name`/);
  await expect(asked).rejects.toMatchObject({ code: "bad_request" });
  await expect(asked).rejects.toBeInstanceOf(Refused);
});

test("a message counts as sent with its RECEIPT", async () => {
  const stored = signalling.store(room, "chat", { text: "안녕하세요!" });

  const { headers } = socket.lastHeard();
  socket.say(`RECEIPT\nreceipt-id:${headers.receipt ?? ""}\n\n\0`);

  await expect(stored).resolves.toBeUndefined();
});

test("what is under way when the connection goes is unanswered", async () => {
  const asked = signalling.request(room, "join", "joined", {});

  socket.close();

  await expect(asked).rejects.toBeInstanceOf(Unanswered);
});

test("a subscription of a lost connection is not taken for one of the next", async () => {
  const unsubscribe = signalling.subscribe(`/topic/rooms/${room}/chat`, () => {});
  socket.close();
  const next = await ServerEnd.opened(url);
  next.say(frame("connected"));
  await vi.waitFor(() => expect(signalling.isOpen).toBe(true));

  unsubscribe();

  expect(next.heard.map((text) => parse(text).command)).toEqual(["CONNECT", "SUBSCRIBE"]);
});

test("slots come unasked", () => {
  const heard: Signal[] = [];
  signalling.onSignal((signal) => heard.push(signal));

  socket.say(frame("signal_slots"));

  expect(heard).toHaveLength(1);
  const slots = heard[0]?.type === "slots" ? heard[0].slots : [];
  expect(slots.find(({ source }) => source === "camera")).toMatchObject({ mid: "5", participant: "p-2" });
});

test("ICE servers are asked for once, and again when they are no longer good", async () => {
  const now = vi.spyOn(performance, "now").mockReturnValue(1_000);
  const iceServers = new IceServers(signalling);

  const both = Promise.all([iceServers.get(), iceServers.get()]);
  expect(socket.lastHeard()).toMatchObject({
    command: "SEND",
    headers: { destination: "/app/ice_servers", "correlation-id": "c-1" },
  });
  socket.say(frame("signal_ice_servers"), { "correlation-id": "c-1" });

  const [first, second] = await both;
  expect(first.map(({ urls }) => urls)).toEqual([
    ["stun:192.0.2.1:3478"],
    ["turn:192.0.2.1:3478?transport=udp"],
  ]);
  expect(second).toBe(first);
  const asked = socket.heard.length;
  now.mockReturnValue(1_000 + 299_000);
  expect(await iceServers.get()).toBe(first);
  expect(socket.heard).toHaveLength(asked);

  now.mockReturnValue(1_000 + 300_000);
  const third = iceServers.get();
  expect(socket.heard).toHaveLength(asked + 1);
  socket.say(frame("signal_ice_servers"), { "correlation-id": "c-2" });
  expect(await third).not.toBe(first);
});

test("without an answer there are no ICE servers", async () => {
  const asked = new IceServers(signalling).get();

  socket.close();

  expect(await asked).toEqual([]);
});

test("chat arrives as it was written, markup and line breaks included", () => {
  const heard: ChatMessage[] = [];
  signalling.subscribe<ChatMessage>(`/topic/rooms/${room}/chat`, (message) => heard.push(message), {
    history: "50",
  });

  expect(socket.lastHeard()).toMatchObject({
    command: "SUBSCRIBE",
    headers: { destination: `/topic/rooms/${room}/chat`, history: "50" },
  });
  socket.say(frame("chat_message"));

  expect(heard[0]).toMatchObject({ seq: 7, from: { name: "이두리" } });
  expect(heard[0]?.text).toContain("<b>굵게</b>\n");
});

test("events and room summaries have the fields that the page reads", () => {
  const events: RoomEvent[] = [];
  signalling.subscribe<RoomEvent>(`/topic/rooms/${room}/events`, (event) => events.push(event));
  const names = Object.keys(golden).flatMap((path) => /(event_\w+)\.frame/.exec(path)?.[1] ?? []);
  for (const name of names) socket.say(frame(name));
  const rooms: RoomSummary[] = [];
  signalling.subscribe<RoomSummary>("/topic/rooms", (summary) => rooms.push(summary));
  socket.say(frame("room_summary"));

  expect(events).toHaveLength(names.length);
  expect(events).toContainEqual(expect.objectContaining({ type: "participant_left", reason: "left" }));
  expect(events).toContainEqual({ type: "source_added", participant: "p-2", source: "camera" });
  expect(rooms[0]).toMatchObject({ name: room, participants: 2 });
});

function frame(name: string): string {
  const text = golden[`../../control/wire/golden/${name}.frame`];
  if (text === undefined) throw new Error(`there is no example ${name}`);
  return text;
}

interface ParsedFrame {
  command: string;
  headers: Record<string, string>;
  body: string;
}

function parse(text: string | undefined): ParsedFrame {
  const [head = "", body = ""] = (text ?? "").split(/\r?\n\r?\n(.*)\0/s);
  const [command = "", ...lines] = head.split(/\r?\n/);
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
  return { command, headers, body };
}

/** Replaces the network: records what the client sends, and delivers what a test sends to it. */
class ServerEnd {
  static readonly #waiting = new Map<string, ServerEnd>();
  readonly heard: string[] = [];
  binaryType = "blob";
  readyState = 0;
  onopen: () => void = () => {};
  onmessage: (event: { data: string }) => void = () => {};
  onclose: (event: object) => void = () => {};

  constructor(readonly url: string) {
    ServerEnd.#waiting.set(url, this);
  }

  static async opened(url: string): Promise<ServerEnd> {
    const socket = await vi.waitUntil(() => ServerEnd.#waiting.get(url));
    ServerEnd.#waiting.delete(url);
    socket.readyState = 1;
    socket.onopen();
    return socket;
  }

  send(data: string): void {
    this.heard.push(data);
  }

  close(): void {
    this.readyState = 3;
    this.onclose({});
  }

  /** Delivers a frame, with other headers where given, to the subscription to its destination. */
  say(text: string, headers: Record<string, string> = {}): void {
    const said = parse(text);
    const subscriptions = this.heard.map(parse).filter(({ command }) => command === "SUBSCRIBE");
    const found = subscriptions.find((each) => each.headers.destination === said.headers.destination);
    const subscription = found?.headers.id === undefined ? {} : { subscription: found.headers.id };
    const lines = Object.entries({ ...said.headers, ...subscription, ...headers }).map(
      ([k, v]) => `${k}:${v}`,
    );
    this.onmessage({ data: `${[said.command, ...lines].join("\n")}\n\n${said.body}\0` });
  }

  lastHeard(): ParsedFrame {
    return parse(this.heard.at(-1));
  }
}
