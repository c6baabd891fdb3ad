import { element, icon, type IconName } from "./dom.ts";
import type { Participant, Role, Waiting } from "./messages.ts";
import type { RoomSession } from "./room-session.ts";
import { texts } from "./texts.ts";

const ROLES: Role[] = ["host", "speaker", "listener"];

/** The panel of participants and waiting visitors, with a moderator's controls. */
export class PeopleView {
  readonly root = element("dialog", { class: "people", "aria-label": texts.participants });
  readonly #session: RoomSession;
  readonly #waiting = element("ul", { class: "people-list", "aria-label": texts.wantToCome });
  readonly #people = element("ul", { class: "people-list", "aria-label": texts.participants });
  readonly #lock = element("button", { type: "button", class: "quiet", "data-testid": "lock-button" });
  readonly #end = element(
    "button",
    { type: "button", class: "quiet danger", "data-testid": "end-room-button" },
    texts.endRoom,
  );
  readonly #forModerators = element("div", { class: "people-room" }, this.#lock, this.#end);
  /** The content of the list as JSON. While it does not change, the elements and the focus in them stay. */
  #shown = "";

  constructor(session: RoomSession) {
    this.#session = session;
    const close = element(
      "button",
      { type: "button", class: "quiet", "aria-label": texts.close },
      icon("close"),
    );
    close.addEventListener("click", () => this.root.close());
    this.#lock.addEventListener("click", () => session.moderation.setLocked(!session.isLocked));
    this.#end.addEventListener("click", () => {
      if (confirm(texts.reallyEndRoom)) session.moderation.endRoom();
    });
    this.root.append(
      element("header", {}, element("h2", {}, texts.participants), close),
      this.#waiting,
      this.#people,
      this.#forModerators,
    );
  }

  toggle(): void {
    if (this.root.open) this.root.close();
    else this.root.show();
  }

  update(): void {
    const { roster, moderation, isModerator, isLocked } = this.#session;
    const people = roster.self === undefined ? roster.others : [roster.self, ...roster.others];
    const content = JSON.stringify([people, moderation.waiting, isModerator, isLocked]);
    if (content === this.#shown) return;
    this.#shown = content;
    this.#forModerators.hidden = !isModerator;
    this.#lock.replaceChildren(icon("lock", isLocked), isLocked ? texts.unlockRoom : texts.lockRoom);
    this.#waiting.replaceChildren(...moderation.waiting.map((each) => this.#waitingRow(each)));
    this.#people.replaceChildren(
      ...people.map((each) => this.#personRow(each, isModerator && each.id !== roster.self?.id)),
    );
  }

  #waitingRow({ id, name }: Waiting): HTMLElement {
    const button = (action: "admit" | "deny") => {
      const made = element("button", { type: "button", "data-testid": `${action}-button` }, texts[action]);
      made.addEventListener("click", () => this.#session.moderation.act(action, id));
      return made;
    };
    const name_ = element("span", { class: "people-name" }, name);
    return element("li", { "data-testid": "waiting-person" }, name_, button("admit"), button("deny"));
  }

  #personRow(person: Participant, isActedOn: boolean): HTMLElement {
    const isSelf = person.id === this.#session.roster.self?.id;
    const name = element(
      "span",
      { class: "people-name" },
      isSelf ? texts.youNamed(person.name) : person.name,
    );
    const row = element("li", { "data-testid": "person", "data-participant": person.id }, name);
    if (!isActedOn) {
      row.append(element("span", { class: "note" }, texts.roles[person.role]));
      return row;
    }
    const { moderation, roster } = this.#session;
    const muted = roster.isStopped(person, "microphone");
    const off = roster.isStopped(person, "camera");
    row.append(
      this.#roleOf(person),
      action(
        "microphone",
        (muted ? texts.letSpeak : texts.mutePerson)(person.name),
        "mute-person",
        muted,
        () => moderation.stop("mute", person.id, !muted),
      ),
      action("camera", (off ? texts.letShow : texts.stopCamera)(person.name), "stop-camera", off, () =>
        moderation.stop("stop_camera", person.id, !off),
      ),
      action("leave", texts.kick(person.name), "kick-person", false, () => moderation.act("kick", person.id)),
      action("ban", texts.ban(person.name), "ban-person", false, () => {
        if (confirm(texts.reallyBan(person.name))) moderation.act("ban", person.id);
      }),
    );
    return row;
  }

  #roleOf(person: Participant): HTMLElement {
    const options = ROLES.map((role) =>
      element("option", { value: role, selected: role === person.role }, texts.roles[role]),
    );
    const select = element(
      "select",
      { "aria-label": texts.roleOf(person.name), "data-testid": "role-select" },
      ...options,
    );
    select.addEventListener("change", () =>
      this.#session.moderation.setRole(person.id, select.value as Role),
    );
    return select;
  }
}

function action(
  name: IconName,
  label: string,
  testId: string,
  crossed: boolean,
  act: () => void,
): HTMLButtonElement {
  const attributes = {
    type: "button",
    class: crossed ? "quiet danger" : "quiet",
    title: label,
    "aria-label": label,
    "data-testid": testId,
  };
  const button = element("button", attributes, icon(name, crossed));
  button.addEventListener("click", act);
  return button;
}
