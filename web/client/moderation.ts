import type { ModerateAction, Role, Signal, Waiting } from "./messages.ts";
import { Refused, type Signalling } from "./signalling.ts";

/** What a moderator does in a room, and who waits for it. */
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

  /** Those who wait to be admitted. */
  get waiting(): readonly Waiting[] {
    return this.#waiting;
  }

  /** True when the signal changed something. */
  apply(signal: Signal): boolean {
    if (signal.type !== "waiting") return false;
    this.#waiting = signal.waiting;
    return true;
  }

  /** What can be done to a participant, or to somebody who waits. */
  act(action: "kick" | "ban" | "admit" | "deny", participant: string): void {
    void this.#moderate({ action, participant });
  }

  /** Stops what somebody sends, or lets them switch it on again. */
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
      // After a lost connection the page shows what became of it by itself.
      if (error instanceof Refused) this.#onRefused(error.message);
    }
  }
}
