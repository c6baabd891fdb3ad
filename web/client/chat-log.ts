import type { ChatMessage } from "./messages.ts";

/** The number of messages that a page keeps. Older ones disappear from view; the server still has them. */
export const KEPT_MESSAGES = 500;

/** The room's chat as this page knows it, in order, each message once. Without I/O. */
export class ChatLog {
  #messages: ChatMessage[] = [];
  #lastSeq = 0;

  /**
   * Adds a message. Returns false when there is nothing to show: the message is deleted, or known already because a
   * replay overlaps live messages.
   */
  add(message: ChatMessage): boolean {
    if (message.seq <= this.#lastSeq) return false;
    this.#lastSeq = message.seq;
    if (message.deleted === true) return false;
    this.#messages.push(message);
    if (this.#messages.length > KEPT_MESSAGES) this.#messages.shift();
    return true;
  }

  /** Clears the log when the server's last `seq` is lower than the page's: then the history is a different one. */
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

  /** The SUBSCRIBE header that requests the missing messages (protocol §2). */
  get replayHeader(): { history: string } | { since: string } {
    return this.#lastSeq === 0 ? { history: "50" } : { since: String(this.#lastSeq) };
  }
}
