import type { ChatMessage } from "./messages.ts";

/** As many messages as a page keeps; older ones are dropped from view (the server has them). */
export const KEPT_MESSAGES = 500;

/** The room's chat as this page knows it: in order, each message once. Pure. */
export class ChatLog {
  #messages: ChatMessage[] = [];
  #lastSeq = 0;

  /**
   * Takes a message; false when there is nothing to show: it was deleted, or is known, which happens when a replay
   * overlaps what is live.
   */
  add(message: ChatMessage): boolean {
    if (message.seq <= this.#lastSeq) return false;
    this.#lastSeq = message.seq;
    if (message.deleted === true) return false;
    this.#messages.push(message);
    if (this.#messages.length > KEPT_MESSAGES) this.#messages.shift();
    return true;
  }

  /** Starts over when the server knows less than this page: then it is another history. */
  reconcile(serverSeq: number): void {
    if (serverSeq >= this.#lastSeq) return;
    this.#messages = [];
    this.#lastSeq = 0;
  }

  delete(seq: number): void {
    this.#messages = this.#messages.filter((message) => message.seq !== seq);
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The header of the SUBSCRIBE that brings what is missing (protocol §2). */
  get replayHeader(): { history: string } | { since: string } {
    return this.#lastSeq === 0 ? { history: "50" } : { since: String(this.#lastSeq) };
  }
}
