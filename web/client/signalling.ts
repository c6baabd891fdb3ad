import { Client, type IMessage, ReconnectionTimeMode, type StompHeaders } from "@stomp/stompjs";
import type { Refusal, Signal } from "./messages.ts";

/** How long a reply may take, in milliseconds. A server under load replies late; a dead one closes the connection. */
const REQUEST_TIMEOUT_MS = 15_000;

/** The server refused a request. */
export class Refused extends Error {
  readonly code: string;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.code = refusal.code;
  }
}

/** The connection was lost or no reply came in time. It is unknown whether the request was carried out. */
export class Unanswered extends Error {}

/** Values of an ERROR frame's `message` after which connecting again with the same token cannot succeed. */
const SHUT_OUT = ["not authenticated", "token expired", "token revoked"] as const;

/** Why the server no longer accepts this page; `detail` is the server's text. */
export interface ShutOut {
  why: (typeof SHUT_OUT)[number];
  detail: string;
}

interface Pending {
  resolve: (reply: Signal) => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

/**
 * The STOMP connection, and requests over it (protocol §2–4). It reconnects by itself. Subscriptions end with their
 * connection: make them in `whenOpen`, which is called again after every reconnect.
 */
export class Signalling {
  readonly #client: Client;
  readonly #pending = new Map<string, Pending>();
  readonly #openListeners = new Set<() => void>();
  readonly #closeListeners = new Set<() => void>();
  readonly #signalListeners = new Set<(signal: Signal) => void>();
  /** Called when the server no longer accepts this page. There is no reconnect until `signIn`. */
  onShutOut: (reason: ShutOut) => void = () => {};
  #lastCorrelation = 0;
  /** The number of the current connection. */
  #connection = 0;

  constructor(url: string, token?: string) {
    this.#client = new Client({
      brokerURL: url,
      reconnectDelay: 500,
      maxReconnectDelay: 8_000,
      reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
      heartbeatIncoming: 10_000,
      heartbeatOutgoing: 10_000,
      onConnect: () => this.#opened(),
      onWebSocketClose: () => this.#closed(),
      connectHeaders: credential(token),
      onStompError: ({ headers, body }) => this.#failed(headers.message, body),
    });
    this.#client.activate();
  }

  /** Reconnects with another token. */
  async signIn(token: string): Promise<void> {
    this.#client.connectHeaders = credential(token);
    await this.#client.deactivate();
    this.#client.activate();
  }

  get isOpen(): boolean {
    return this.#client.connected;
  }

  /** Calls `listener` each time the connection opens, and now if it is open. Returns a function that removes it. */
  whenOpen(listener: () => void): () => void {
    this.#openListeners.add(listener);
    if (this.isOpen) listener();
    return () => this.#openListeners.delete(listener);
  }

  /** Calls `listener` each time the connection is lost. Returns a function that removes it. */
  whenClosed(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Calls `listener` for all messages on `/user/queue/signal`, also replies. Returns a function that removes it. */
  onSignal(listener: (signal: Signal) => void): () => void {
    this.#signalListeners.add(listener);
    return () => this.#signalListeners.delete(listener);
  }

  /** Subscribes on this connection. Returns a function that unsubscribes. */
  subscribe<T>(destination: string, listener: (message: T) => void, headers: StompHeaders = {}): () => void {
    const subscription = this.#client.subscribe(
      destination,
      (message) => listener(JSON.parse(message.body) as T),
      headers,
    );
    // On the next connection, the same id belongs to another subscription.
    const connection = this.#connection;
    return () => {
      if (this.isOpen && this.#connection === connection) subscription.unsubscribe();
    };
  }

  /** Sends a request that has no reply. It is dropped when there is no connection. */
  send(room: string, action: string, body: object): void {
    if (this.isOpen) this.#publish(destinationOf(room, action), body, {});
  }

  /** Asks for ICE servers before joining. */
  async requestIceServers(): Promise<Extract<Signal, { type: "ice_servers" }>> {
    return expect("ice_servers", await this.#exchange("/app/ice_servers", {}, {}));
  }

  /**
   * Sends a request and returns its reply. A `join` that a moderator has to admit is answered only then; until then
   * `onSignal` gets an `error` with the code `waiting`.
   */
  async request<T extends Signal["type"]>(
    room: string,
    action: string,
    expected: T,
    body: object,
    headers: StompHeaders = {},
  ): Promise<Extract<Signal, { type: T }>> {
    return expect(expected, await this.#exchange(destinationOf(room, action), body, headers));
  }

  /** Sends a request that the server acknowledges with a RECEIPT once it is stored. */
  async store(room: string, action: string, body: object, headers: StompHeaders = {}): Promise<void> {
    const receipt = `stored-${++this.#lastCorrelation}`;
    this.#client.watchForReceipt(receipt, () => this.#settle(receipt, { type: "done" }));
    await this.#exchange(destinationOf(room, action), body, { ...headers, receipt }, receipt);
  }

  #exchange(
    destination: string,
    body: object,
    headers: StompHeaders,
    id = `c-${++this.#lastCorrelation}`,
  ): Promise<Signal> {
    if (!this.isOpen) return Promise.reject(new Unanswered("there is no connection"));
    return new Promise((resolve, reject) => {
      const expire = () => {
        this.#pending.delete(id);
        reject(new Unanswered(`${destination} was not answered`));
      };
      const timer = setTimeout(expire, REQUEST_TIMEOUT_MS);
      this.#pending.set(id, { resolve, reject, timer });
      this.#publish(destination, body, { ...headers, "correlation-id": id });
    });
  }

  #publish(destination: string, body: object, headers: StompHeaders): void {
    this.#client.publish({
      destination,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  }

  #opened(): void {
    this.#connection += 1;
    this.#client.subscribe("/user/queue/signal", (message) => this.#signalled(message));
    for (const listener of [...this.#openListeners]) listener();
  }

  #failed(message: string | undefined, detail: string): void {
    const why = SHUT_OUT.find((known) => known === message);
    if (why === undefined) {
      console.warn("The server closed the connection:", message, detail);
      return;
    }
    // The server closes the connection as well; frames until then do not matter.
    void this.#client.deactivate({ force: true });
    this.onShutOut({ why, detail });
  }

  #closed(): void {
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new Unanswered("the connection was lost"));
    }
    this.#pending.clear();
    for (const listener of [...this.#closeListeners]) listener();
  }

  #signalled(message: IMessage): void {
    const signal = JSON.parse(message.body) as Signal;
    const correlation = message.headers["correlation-id"];
    if (correlation !== undefined) this.#settle(correlation, signal);
    for (const listener of [...this.#signalListeners]) listener(signal);
  }

  #settle(id: string, reply: Signal): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    if (reply.type === "error" && reply.code === "waiting") return;
    this.#pending.delete(id);
    if (reply.type === "error") pending.reject(new Refused(reply));
    else pending.resolve(reply);
  }
}

function destinationOf(room: string, action: string): string {
  return `/app/rooms/${room}/${action}`;
}

function expect<T extends Signal["type"]>(expected: T, reply: Signal): Extract<Signal, { type: T }> {
  if (reply.type === expected) return reply as Extract<Signal, { type: T }>;
  throw new Unanswered(`instead of ${expected} the server answered ${reply.type}`);
}

function credential(token: string | undefined): StompHeaders {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** The STOMP endpoint of the server that this page came from. */
export function signallingUrl(page: Location | URL): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}/ws`;
}
