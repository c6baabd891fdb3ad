import { ChatView } from "./chat-view.ts";
import { element, icon, type IconName } from "./dom.ts";
import { tileWidth } from "./grid.ts";
import type { LocalMedia } from "./local-media.ts";
import type { Participant } from "./messages.ts";
import { PeopleView } from "./people-view.ts";
import type { RoomSession } from "./room-session.ts";
import { texts } from "./texts.ts";
import { Tile } from "./tile.ts";

/** How long a refusal stays visible, in milliseconds. */
const PROBLEM_MS = 6_000;
/** The gap between tiles in pixels, equal to that of `.grid` in style.css. */
const GAP = 12;

/** The page of a room: tiles, controls and chat. `update` shows the session's current state. */
export class RoomView {
  readonly root: HTMLElement;
  readonly #session: RoomSession;
  readonly #media: LocalMedia;
  readonly #own = new Tile({ "data-testid": "local-video" });
  readonly #tiles = new Map<string, Tile>();
  readonly #grid = element("div", { class: "grid" });
  readonly #alone = element("p", { class: "alone" }, texts.alone);
  readonly #problem = element("p", { class: "alone", role: "alert", "data-testid": "problem", hidden: true });
  #problemTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #sound = element("div", { hidden: true });
  readonly #playSound = element(
    "button",
    { type: "button", class: "play-sound", hidden: true },
    icon("sound"),
    texts.playSound,
  );
  readonly #count = element("span", { "data-testid": "participant-count" });
  readonly #connection = element("span", {
    class: "connection",
    role: "status",
    "data-testid": "connection-state",
  });
  readonly #mute = controlButton("mute-button");
  readonly #camera = controlButton("camera-button");
  readonly #chatToggle = controlButton("chat-button");
  readonly #chat: ChatView;
  readonly #people: PeopleView;
  readonly #resized = new ResizeObserver(() => this.#layOut());

  constructor(session: RoomSession, media: LocalMedia, leave: () => void) {
    this.#session = session;
    this.#media = media;
    this.#chat = new ChatView({
      send: (text) => session.sendChat(text),
      delete: (id) => session.moderation.deleteMessage(id),
    });
    this.#people = new PeopleView(session);
    this.#own.root.classList.add("own");
    this.#grid.append(this.#own.root);
    this.#playSound.addEventListener("click", () => this.#play());
    const stage = element(
      "section",
      { class: "stage" },
      this.#grid,
      this.#alone,
      this.#problem,
      this.#playSound,
    );
    this.root = element(
      "main",
      { class: "room" },
      this.#header(),
      stage,
      this.#controls(leave),
      this.#chat.root,
      this.#people.root,
      this.#sound,
    );
    this.#resized.observe(this.#grid);
    this.#showChat(matchMedia("(min-width: 900px)").matches);
    this.update();
  }

  update(): void {
    this.#showOwn();
    this.#showOthers();
    this.#showSound();
    this.#people.update();
    this.#showProblem();
    const { roster, connectionState, chat, isModerator, moderation } = this.#session;
    this.#count.textContent = String(Math.max(roster.size, 1));
    this.#count.parentElement?.classList.toggle("unread", moderation.waiting.length > 0);
    const isWaiting = connectionState === "waiting";
    this.#alone.textContent = isWaiting ? texts.waitingRoom : texts.alone;
    this.#alone.hidden = !isWaiting && (roster.others.length > 0 || connectionState !== "connected");
    if (this.#connection.dataset.state !== connectionState) {
      this.#connection.dataset.state = connectionState;
      this.#connection.textContent = texts[connectionState];
    }
    const hasNew = this.#chat.show(chat.messages, roster.self?.id, isModerator);
    if (hasNew && !this.#isChatShown) this.#chatToggle.classList.add("unread");
    this.#layOut();
  }

  close(): void {
    this.#resized.disconnect();
    clearTimeout(this.#problemTimer);
    for (const tile of this.#tiles.values()) tile.remove();
    this.#own.remove();
    this.root.remove();
  }

  #header(): HTMLElement {
    const copy = element("button", { type: "button", class: "quiet" }, icon("link"), texts.copyLink);
    copy.addEventListener("click", () => {
      const link = `${location.origin}${location.pathname}`;
      // Not available on plain HTTP pages; users copy from the address bar there.
      navigator.clipboard?.writeText(link).then(
        () => {
          copy.lastChild!.textContent = texts.linkCopied;
          setTimeout(() => (copy.lastChild!.textContent = texts.copyLink), 2_000);
        },
        () => {},
      );
    });
    const people = element(
      "button",
      { type: "button", class: "quiet count", title: texts.participants, "data-testid": "people-button" },
      icon("people"),
      this.#count,
    );
    people.addEventListener("click", () => this.#people.toggle());
    const title = element("h1", {}, this.#session.room);
    return element("header", { class: "room-header" }, title, people, this.#connection, copy);
  }

  #controls(leave: () => void): HTMLElement {
    const leaveButton = controlButton("leave-button", "danger");
    show(leaveButton, "leave", texts.leave);
    show(this.#chatToggle, "chat", texts.chat);
    leaveButton.addEventListener("click", leave);
    this.#mute.addEventListener("click", () => void this.#session.toggleMicrophone());
    this.#camera.addEventListener("click", () => void this.#session.toggleCamera());
    this.#chatToggle.addEventListener("click", () => this.#showChat(!this.#isChatShown, true));
    const buttons = [this.#mute, this.#camera, this.#chatToggle, leaveButton];
    return element("nav", { class: "controls" }, ...buttons);
  }

  get #isChatShown(): boolean {
    return this.root.classList.contains("with-chat");
  }

  #showChat(shown: boolean, focus = false): void {
    this.root.classList.toggle("with-chat", shown);
    const label = shown ? texts.hideChat : texts.showChat;
    this.#chatToggle.setAttribute("aria-label", label);
    this.#chatToggle.setAttribute("aria-pressed", String(shown));
    if (shown) this.#chatToggle.classList.remove("unread");
    if (shown && focus) this.#chat.focus();
  }

  #showOwn(): void {
    const { roster } = this.#session;
    const media = this.#media;
    const name = roster.self?.name;
    this.#own.show({
      name: name ?? "",
      label: name === undefined ? texts.you : texts.youNamed(name),
      stream: media.preview,
      muted: media.muted,
      cameraOff: media.cameraOff,
      speaking: roster.self !== undefined && roster.isSpeaking(roster.self.id),
    });
    show(this.#mute, "microphone", media.muted ? texts.unmute : texts.mute, media.muted);
    show(this.#camera, "camera", media.cameraOff ? texts.cameraOn : texts.cameraOff, media.cameraOff);
  }

  #showOthers(): void {
    const others = this.#session.roster.others;
    const present = new Set(others.map((each) => each.id));
    for (const [id, tile] of this.#tiles) {
      if (present.has(id)) continue;
      tile.remove();
      this.#tiles.delete(id);
    }
    for (const participant of others) this.#showOther(participant);
  }

  #showOther(participant: Participant): void {
    let tile = this.#tiles.get(participant.id);
    if (tile === undefined) {
      tile = new Tile({ "data-testid": "remote-video", "data-participant": participant.id });
      this.#tiles.set(participant.id, tile);
      this.#grid.insertBefore(tile.root, this.#own.root); // the user's own tile stays last
    }
    tile.show({
      name: participant.name,
      stream: this.#session.videoOf(participant.id),
      muted: participant.muted || !participant.sources.includes("microphone"),
      cameraOff: participant.camera_off,
      undecodable: this.#session.roster.isUndecodable(participant.id),
      speaking: this.#session.roster.isSpeaking(participant.id),
    });
  }

  /** One audio element for each slot. The server chooses whom a slot carries. */
  #showSound(): void {
    const streams = this.#session.audioStreams;
    const players = [...this.#sound.children] as HTMLAudioElement[];
    if (players.length === streams.length && players.every((each, i) => each.srcObject === streams[i]))
      return;
    const made = streams.map((stream) => {
      const player = element("audio");
      player.srcObject = stream;
      return player;
    });
    this.#sound.replaceChildren(...made);
    this.#play();
  }

  /** Plays the sound. Browsers refuse before a user gesture unless a microphone is open; then a button asks for one. */
  #play(): void {
    this.#playSound.hidden = true;
    for (const player of this.#sound.children as Iterable<HTMLAudioElement>) {
      player.play().catch((error: unknown) => {
        const isBlocked = error instanceof DOMException && error.name === "NotAllowedError";
        if (isBlocked) this.#playSound.hidden = false;
      });
    }
  }

  #showProblem(): void {
    const problem = this.#session.takeProblem();
    if (problem === undefined) return;
    this.#problem.textContent = problem;
    this.#problem.hidden = false;
    clearTimeout(this.#problemTimer);
    this.#problemTimer = setTimeout(() => (this.#problem.hidden = true), PROBLEM_MS);
  }

  #layOut(): void {
    const { clientWidth, clientHeight } = this.#grid;
    const width = tileWidth(this.#tiles.size + 1, clientWidth, clientHeight, GAP);
    this.#grid.style.setProperty("--tile-width", `${width}px`);
  }
}

function controlButton(testId: string, kind = ""): HTMLButtonElement {
  return element("button", { type: "button", class: `control ${kind}`, "data-testid": testId });
}

/** `crossed`: whether the button's device is off. */
function show(button: HTMLButtonElement, name: IconName, label: string, crossed?: boolean): void {
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.title = label;
  button.classList.toggle("off", crossed === true);
  button.replaceChildren(icon(name, crossed), element("span", { class: "control-label" }, label));
}
