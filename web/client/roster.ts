import type { Joined, Participant, RoomEvent, Slot, SourceKind } from "./messages.ts";

/** The participants, the active speakers, and the slots that show them. Without I/O. */
export class Roster {
  #self = "";
  #participants = new Map<string, Participant>();
  #slots: Slot[] = [];
  #speakers = new Set<string>();

  /** Replaces everything by the server's state. */
  reset(joined: Joined): void {
    this.#self = joined.participant.id;
    this.#participants = new Map(joined.participants.map((each) => [each.id, each]));
    this.#participants.set(this.#self, joined.participant);
    this.#speakers.clear();
    if (joined.slots !== undefined) this.#slots = joined.slots;
  }

  apply(event: RoomEvent): void {
    switch (event.type) {
      case "participant_joined":
      case "participant_changed":
        this.#participants.set(event.participant.id, event.participant);
        break;
      case "participant_left":
        this.#participants.delete(event.participant.id);
        this.#speakers.delete(event.participant.id);
        break;
      case "source_added":
      case "source_removed":
        this.#changeSources(event);
        break;
      case "speakers":
        this.#speakers = new Set(event.speakers.map((speaker) => speaker.participant));
        break;
      case "message_deleted":
      case "room_changed":
      case "room_ended":
        break;
    }
  }

  /** Replaces all slots: a `slots` message is complete. */
  showSlots(slots: Slot[]): void {
    this.#slots = slots;
  }

  get self(): Participant | undefined {
    return this.#participants.get(this.#self);
  }

  /** The others, in join order. */
  get others(): Participant[] {
    return [...this.#participants.values()]
      .filter((each) => each.id !== this.#self)
      .sort((a, b) => a.joined_at.localeCompare(b.joined_at) || a.id.localeCompare(b.id));
  }

  get size(): number {
    return this.#participants.size;
  }

  /** Whether a moderator stopped this source of the participant. */
  isStopped(participant: Participant | undefined, source: SourceKind): boolean {
    return participant?.stopped?.includes(source) === true;
  }

  isSpeaking(participant: string): boolean {
    return this.#speakers.has(participant);
  }

  /** The slot with this participant's screen, or else their camera. */
  videoSlot(participant: string): Slot | undefined {
    const carrying = (source: string) =>
      this.#slots.find((slot) => slot.participant === participant && slot.source === source);
    return carrying("screen") ?? carrying("camera");
  }

  /** Whether this browser can't decode what the slot of this participant carries. */
  isUndecodable(participant: string): boolean {
    return this.videoSlot(participant)?.reason === "codec";
  }

  #changeSources(event: Extract<RoomEvent, { type: "source_added" | "source_removed" }>): void {
    const participant = this.#participants.get(event.participant);
    if (participant === undefined) return;
    const others = participant.sources.filter((source) => source !== event.source);
    const sources = event.type === "source_added" ? [...others, event.source] : others;
    this.#participants.set(participant.id, { ...participant, sources });
  }
}
