import { element, icon, type IconName } from "./dom.ts";
import type { LocalMedia } from "./local-media.ts";
import type { RoomSummary } from "./messages.ts";
import { parseRoomName } from "./room-name.ts";
import type { Signalling } from "./signalling.ts";
import { language, texts } from "./texts.ts";
import { Tile } from "./tile.ts";

const TIME = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

export interface LobbyOptions {
  media: LocalMedia;
  signalling: Signalling;
  name: string;
  room: string;
  /** Why the last stay in a room ended, unless the user left. */
  notice?: string;
  /** Whether the room requires a password. */
  needsPassword: boolean;
  onJoin(name: string, room: string, password: string | undefined): void;
}

/** The page before a room: name, room and a preview of the camera. */
export class Lobby {
  readonly root: HTMLElement;
  readonly #options: LobbyOptions;
  readonly #preview = new Tile({ "data-testid": "local-video" });
  readonly #mute = element("button", { type: "button", class: "control", "data-testid": "mute-button" });
  readonly #camera = element("button", { type: "button", class: "control", "data-testid": "camera-button" });
  readonly #devices = element("p", { class: "note", role: "status" });
  readonly #name = element("input", {
    id: "name",
    "data-testid": "name-input",
    autocomplete: "name",
    maxlength: "64",
    placeholder: texts.namePlaceholder,
  });
  readonly #room = element("input", {
    id: "room",
    "data-testid": "room-input",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "room-hint",
    placeholder: texts.roomPlaceholder,
  });
  readonly #password = element("input", {
    id: "password",
    type: "password",
    "data-testid": "password-input",
    autocomplete: "off",
    "aria-label": texts.password,
    placeholder: texts.password,
    maxlength: "256",
  });
  readonly #problem = element("p", { class: "problem", role: "alert", hidden: true });
  readonly #join = element(
    "button",
    { type: "submit", class: "primary", "data-testid": "join-button" },
    texts.join,
  );
  readonly #openRooms = element("ul", { class: "open-rooms" });
  readonly #noOpenRooms = element("p", { class: "note" }, texts.noOpenRooms);
  readonly #rooms = new Map<string, RoomSummary>();
  readonly #endings: (() => void)[] = [];
  #unsubscribe = () => {};

  constructor(options: LobbyOptions) {
    this.#options = options;
    this.#name.value = options.name;
    this.#room.value = options.room;
    this.#password.hidden = !options.needsPassword;
    if (options.notice !== undefined) this.#complain(options.notice);
    this.#mute.addEventListener("click", () => {
      options.media.muted = !options.media.muted;
      this.#showDevices();
    });
    this.#camera.addEventListener("click", () => {
      options.media.cameraOff = !options.media.cameraOff;
      this.#showDevices();
    });
    this.root = element(
      "main",
      { class: "lobby" },
      element(
        "header",
        { class: "lobby-header" },
        element("img", { src: "/icon.svg", alt: "", width: "44", height: "44" }),
        element("h1", {}, "Madang"),
        element("p", {}, texts.tagline),
      ),
      element(
        "section",
        { class: "preview", "aria-label": texts.preview },
        this.#previewTile(),
        this.#devices,
      ),
      this.#form(),
    );
    this.#devices.textContent = texts.openingDevices;
    this.#showDevices();
    void options.media.open().then(() => {
      this.#devices.textContent = "";
      this.#showDevices();
    });
    this.#endings.push(
      options.media.whenLost(() => this.#showDevices()),
      options.signalling.whenOpen(() => this.#watchRooms()),
    );
    this.#showRooms();
  }

  /** Focuses the first field that needs input. */
  focus(): void {
    if (this.#name.value === "") this.#name.focus();
    else if (this.#room.value === "") this.#room.focus();
    else if (!this.#password.hidden) this.#password.focus();
    else this.#join.focus();
  }

  close(): void {
    for (const end of this.#endings) end();
    this.#unsubscribe();
    this.#preview.remove();
    this.root.remove();
  }

  #previewTile(): HTMLElement {
    this.#preview.root.classList.add("own");
    const controls = element("div", { class: "preview-controls" }, this.#mute, this.#camera);
    return element("div", { class: "preview-tile" }, this.#preview.root, controls);
  }

  #form(): HTMLElement {
    const form = element(
      "form",
      { class: "join", novalidate: true },
      element("label", { for: "name" }, texts.yourName),
      this.#name,
      element("label", { for: "room" }, texts.room),
      this.#room,
      element("p", { class: "hint", id: "room-hint" }, texts.roomHint),
      this.#password,
      this.#problem,
      this.#join,
      element("h2", {}, texts.openRooms),
      this.#openRooms,
      this.#noOpenRooms,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#name.addEventListener("input", () => this.#showDevices());
    return form;
  }

  #submit(): void {
    const name = this.#name.value.trim();
    const room = parseRoomName(this.#room.value);
    this.#name.setAttribute("aria-invalid", String(name === ""));
    this.#room.setAttribute("aria-invalid", String(room === undefined));
    if (name === "") {
      this.#complain(texts.nameMissing);
      this.#name.focus();
    } else if (room === undefined) {
      this.#complain(texts.roomInvalid);
      this.#room.focus();
    } else {
      const password = this.#password.value;
      this.#options.onJoin(name, room, password === "" ? undefined : password);
    }
  }

  #complain(text: string): void {
    this.#problem.textContent = text;
    this.#problem.hidden = false;
  }

  #showDevices(): void {
    const { media } = this.#options;
    const { microphone, camera, problem } = media.state;
    this.#preview.show({
      name: this.#name.value.trim() || texts.you,
      stream: media.preview,
      muted: media.muted,
      cameraOff: media.cameraOff,
      speaking: false,
    });
    showToggle(this.#mute, "microphone", media.muted ? texts.unmute : texts.mute, media.muted);
    showToggle(this.#camera, "camera", media.cameraOff ? texts.cameraOn : texts.cameraOff, media.cameraOff);
    this.#mute.disabled = microphone === undefined;
    this.#camera.disabled = camera === undefined;
    if (problem !== undefined) this.#devices.textContent = texts[problem];
  }

  #watchRooms(): void {
    this.#rooms.clear();
    this.#unsubscribe = this.#options.signalling.subscribe<RoomSummary>("/topic/rooms", (room) => {
      if (room.participants === 0) this.#rooms.delete(room.name);
      else this.#rooms.set(room.name, room);
      this.#showRooms();
    });
  }

  #showRooms(): void {
    const rooms = [...this.#rooms.values()].sort((a, b) => a.name.localeCompare(b.name));
    this.#noOpenRooms.hidden = rooms.length > 0;
    this.#openRooms.replaceChildren(...rooms.map((room) => this.#openRoom(room)));
  }

  #openRoom(room: RoomSummary): HTMLElement {
    const created = texts.created(dayOrTime(new Date(room.created_at)));
    const about = [texts.people(room.participants), created, ...(room.locked ? [texts.locked] : [])];
    const button = element(
      "button",
      { type: "button", "data-testid": "open-room" },
      element("span", {}, room.name),
      element("span", { class: "note" }, about.join(" · ")),
    );
    button.addEventListener("click", () => {
      this.#room.value = room.name;
      this.focus();
    });
    return element("li", {}, button);
  }
}

/** The time of day if the moment is today, otherwise the date. */
function dayOrTime(moment: Date): string {
  const isToday = moment.toDateString() === new Date().toDateString();
  return (isToday ? TIME : DATE).format(moment);
}

function showToggle(button: HTMLButtonElement, name: IconName, label: string, off: boolean): void {
  button.setAttribute("aria-label", label);
  button.title = label;
  button.classList.toggle("off", off);
  button.replaceChildren(icon(name, off));
}
