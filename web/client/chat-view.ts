import { element, icon } from "./dom.ts";
import type { ChatMessage } from "./messages.ts";
import { isSendKey } from "./send-key.ts";
import { language, texts } from "./texts.ts";

const TIME = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
/** A reader who has scrolled to within so many pixels of the end follows new messages. */
const NEAR_END = 80;

export interface ChatActions {
  /** Resolves once the message is stored. */
  send(text: string): Promise<void>;
  delete(id: string): void;
}

/** The chat panel. Message text goes into text nodes, never into HTML. */
export class ChatView {
  readonly root: HTMLElement;
  readonly #list = element("ol", { class: "chat-list", role: "log", "aria-label": texts.chat });
  readonly #empty = element("p", { class: "chat-empty" }, texts.noMessages);
  readonly #problem = element("p", { class: "problem", role: "alert", hidden: true });
  readonly #input = element("textarea", {
    "data-testid": "chat-input",
    "aria-label": texts.writeMessage,
    placeholder: texts.writeMessage,
    rows: "1",
    maxlength: "4000",
  });
  readonly #actions: ChatActions;
  readonly #shown = new Map<number, HTMLElement>();

  constructor(actions: ChatActions) {
    this.#actions = actions;
    const button = element(
      "button",
      { type: "submit", class: "round", "data-testid": "chat-send", "aria-label": texts.send },
      icon("send"),
    );
    const form = element("form", { class: "chat-form" }, this.#input, button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#input.addEventListener("keydown", (event) => {
      if (!isSendKey(event)) return;
      event.preventDefault();
      void this.#submit();
    });
    this.#input.addEventListener("input", () => this.#fitInput());
    const heading = element("h2", {}, texts.chat);
    const body = element("div", { class: "chat-body" }, this.#empty, this.#list);
    const attributes = { class: "chat", "aria-label": texts.chat };
    this.root = element("aside", attributes, heading, body, this.#problem, form);
  }

  /**
   * Shows exactly these messages, in this order. `self` is the id of the page's own participant. A moderator can delete
   * every message. Returns whether one of them was not shown before.
   */
  show(messages: readonly ChatMessage[], self: string | undefined, isModerator: boolean): boolean {
    this.root.classList.toggle("moderated", isModerator);
    const body = this.#list.parentElement as HTMLElement;
    const wasAtEnd = body.scrollTop + body.clientHeight >= body.scrollHeight - NEAR_END;
    const wanted = new Set(messages.map((message) => message.seq));
    for (const [seq, shown] of this.#shown) {
      if (wanted.has(seq)) continue;
      shown.remove();
      this.#shown.delete(seq);
    }
    let added = false;
    for (const message of messages) {
      if (this.#shown.has(message.seq)) continue;
      const shown = this.#messageElement(message, message.from.id === self);
      this.#shown.set(message.seq, shown);
      this.#list.append(shown);
      added = true;
    }
    this.#empty.hidden = messages.length > 0;
    if (added && wasAtEnd) body.scrollTop = body.scrollHeight;
    return added;
  }

  focus(): void {
    this.#input.focus();
  }

  async #submit(): Promise<void> {
    const text = this.#input.value.trim();
    if (text === "") return;
    this.#input.value = "";
    this.#fitInput();
    this.#problem.hidden = true;
    try {
      await this.#actions.send(text);
    } catch (error) {
      // Puts the text back, unless the user is writing the next message.
      if (this.#input.value === "") this.#input.value = text;
      this.#problem.textContent = texts.notSent;
      this.#problem.title = error instanceof Error ? error.message : "";
      this.#problem.hidden = false;
    }
  }

  #fitInput(): void {
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(this.#input.scrollHeight + 2, 140)}px`;
  }

  #messageElement(message: ChatMessage, isOwn: boolean): HTMLElement {
    const sentAt = new Date(message.sent_at);
    const remove = element(
      "button",
      {
        type: "button",
        class: "quiet chat-delete",
        title: texts.deleteMessage,
        "aria-label": texts.deleteMessage,
        "data-testid": "delete-message",
      },
      icon("trash"),
    );
    remove.addEventListener("click", () => this.#actions.delete(message.id));
    const meta = element(
      "div",
      { class: "chat-meta" },
      element("span", { class: "chat-author" }, isOwn ? texts.you : message.from.name),
      element("time", { datetime: message.sent_at }, TIME.format(sentAt)),
    );
    if (message.to !== undefined) meta.append(element("span", {}, texts.privately));
    meta.append(remove);
    const attributes = { class: isOwn ? "chat-message own" : "chat-message", "data-testid": "chat-message" };
    return element("li", attributes, meta, element("p", { class: "chat-text" }, message.text));
  }
}
