import type { ModerateAction, Role, Signal, Waiting } from "./messages.ts";
import { Refused, type Signalling } from "./signalling.ts";

/** A moderator's requests in a room, and the visitors waiting for admission. */
export class Moderation {
  readonly #signalling: Signalling;
  readonly #room: string;
  readonly #onRefused: (message: string) => void;
  #waiting: Waiting[] = [];

  constructor(signalling: Signalling, room: string, onRefused: (message: string) => void) {
    this.#signalling = signalling;
    this.#room = room;
    this.#onRefused = onRefused;
  }

  /** The visitors waiting for admission. */
  get waiting(): readonly Waiting[] {
    return this.#waiting;
  }

  /** Applies a signal. Returns whether it changed anything. */
  apply(signal: Signal): boolean {
    if (signal.type !== "waiting") return false;
    this.#waiting = signal.waiting;
    return true;
  }

  /** Acts on a participant, or with `admit` and `deny` on a waiting visitor. */
  act(action: "kick" | "ban" | "admit" | "deny", participant: string): void {
    void this.#moderate({ action, participant });
  }

  /** Stops a participant's microphone or camera, or allows it again. */
  stop(action: "mute" | "stop_camera", participant: string, stopped: boolean): void {
    void this.#moderate({ action, participant, value: stopped });
  }

  setRole(participant: string, value: Role): void {
    void this.#moderate({ action: "set_role", participant, value });
  }

  deleteMessage(value: string): void {
    void this.#moderate({ action: "delete_message", value });
  }

  setLocked(locked: boolean): void {
    void this.#moderate({ action: locked ? "lock" : "unlock" });
  }

  endRoom(): void {
    void this.#moderate({ action: "end_room" });
  }

  async #moderate(body: {
    action: ModerateAction;
    participant?: string;
    value?: string | boolean;
  }): Promise<void> {
    try {
      await this.#signalling.request(this.#room, "moderate", "done", body);
    } catch (error) {
      // After a lost connection, the room's state shows whether the request was carried out.
      if (error instanceof Refused) this.#onRefused(error.message);
    }
  }
}
