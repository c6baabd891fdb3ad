import { Call, type CallTracks } from "./call.ts";
import { ChatLog } from "./chat-log.ts";
import type { IceServers } from "./ice-servers.ts";
import type { LocalMedia } from "./local-media.ts";
import type { ChatMessage, Joined, RoomEvent, Signal } from "./messages.ts";
import { Moderation } from "./moderation.ts";
import { randomId } from "./random-id.ts";
import { Roster } from "./roster.ts";
import { Refused, type Signalling, Unanswered } from "./signalling.ts";
import { texts } from "./texts.ts";

export type ConnectionState = "connecting" | "waiting" | "connected" | "reconnecting";

export interface RoomSessionOptions {
  signalling: Signalling;
  /** The ICE servers for the first offer. */
  iceServers: IceServers;
  media: LocalMedia;
  room: string;
  name: string;
  password?: string;
  /** Whether media may use only the TURN server. */
  relayOnly: boolean;
  /** Called when something that the page shows has changed. */
  onChange(): void;
  /** Called when the stay ends other than by `leave`. `code` is one of protocol §4, `kicked` or `room_ended`. */
  onEnded(code: string, message: string): void;
}

/** How long media may take to connect before ICE restarts. Each further attempt gets that much longer. */
const MEDIA_PATIENCE_MS = 5_000;
/** The server takes 2 offers a second, after a few at once. */
const OFFER_PAUSE_MS = 1_000;
/** How often a message is sent if its receipt is lost with the connection. Its id prevents duplicates. */
const CHAT_TRIES = 3;
/** After so many failed ICE restarts, the session joins the room again. */
const MAX_ICE_RESTARTS = 2;

/**
 * A stay in a room: joins, restores the call and the chat after lost connections, and leaves.
 *
 *     signalling opens ─► join (offer) ─► joined (answer) ─► subscribe chat
 *     signalling reopens ─► join with resume token ─► same participant, media continues
 *     media fails ─► ICE restart by a new offer ─► after MAX_ICE_RESTARTS: join again
 */
export class RoomSession {
  readonly roster = new Roster();
  readonly chat = new ChatLog();
  readonly moderation: Moderation;
  readonly room: string;
  readonly #options: RoomSessionOptions;
  readonly #endings: (() => void)[] = [];
  #call: Call | undefined;
  #resumeToken: string | undefined;
  /** Those for the next offer that restarts ICE. */
  #iceServers: RTCIceServer[] = [];
  #unsubscribeEvents = () => {};
  #unsubscribeChat = () => {};
  #wasConnected = false;
  #isOver = false;
  /** Whether this visitor waits for a moderator's admission. */
  #isWaiting = false;
  #isLocked = false;
  /** The last refusal, as text for the user. */
  #problem: string | undefined;
  /** Called once, when the room is entered or left. */
  readonly #entered = new Set<() => void>();
  #iceRestarts = 0;
  #mediaTimer: ReturnType<typeof setTimeout> | undefined;
  /** The negotiation in progress. Each offer waits for the answer to the one before. */
  #negotiation: Promise<void> = Promise.resolve();

  constructor(options: RoomSessionOptions) {
    this.#options = options;
    this.room = options.room;
    this.moderation = new Moderation(options.signalling, options.room, (message) => this.#complain(message));
  }

  /** Joins as soon as there is a connection. */
  start(): void {
    const { media, signalling } = this.#options;
    this.#endings.push(
      media.whenLost(() => void this.#publishDevices()),
      signalling.onSignal((signal) => this.#signalled(signal)),
      signalling.whenClosed(() => this.#changed()),
      signalling.whenOpen(() => void this.#enter()),
    );
  }

  get peerConnection(): RTCPeerConnection | undefined {
    return this.#call?.peerConnection;
  }

  get audioStreams(): MediaStream[] {
    return this.#call?.audioStreams ?? [];
  }

  /** The video to show of a participant. */
  videoOf(participant: string): MediaStream | undefined {
    const slot = this.roster.videoSlot(participant);
    return slot && this.#call?.stream(slot.mid);
  }

  get connectionState(): ConnectionState {
    const isConnected =
      this.#options.signalling.isOpen && this.peerConnection?.connectionState === "connected";
    if (isConnected) return "connected";
    if (this.#isWaiting) return "waiting";
    return this.#wasConnected ? "reconnecting" : "connecting";
  }

  /** Whether the room is locked. */
  get isLocked(): boolean {
    return this.#isLocked;
  }

  /** Whether the user may moderate, as far as the page knows. The server decides. */
  get isModerator(): boolean {
    return this.roster.self?.role === "host" || this.moderation.waiting.length > 0;
  }

  /** Returns and clears the last refusal. */
  takeProblem(): string | undefined {
    const problem = this.#problem;
    this.#problem = undefined;
    return problem;
  }

  /** Resolves once the server has stored the message. */
  async sendChat(text: string): Promise<void> {
    const headers = { "message-id": randomId() };
    for (let tries = 1; ; tries++) {
      try {
        return await this.#options.signalling.store(this.room, "chat", { text }, headers);
      } catch (error) {
        if (!(error instanceof Unanswered) || tries === CHAT_TRIES || this.#isOver) throw error;
        await this.#whenEntered();
      }
    }
  }

  toggleMicrophone(): Promise<void> {
    const { media } = this.#options;
    if (this.#mayNotSend("microphone")) return Promise.resolve();
    if (media.state.microphone === undefined) return this.#retryDevices();
    media.muted = !media.muted;
    this.#sendState();
    return Promise.resolve();
  }

  toggleCamera(): Promise<void> {
    const { media } = this.#options;
    if (this.#mayNotSend("camera")) return Promise.resolve();
    if (media.state.camera === undefined) return this.#retryDevices();
    media.cameraOff = !media.cameraOff;
    this.#sendState();
    return Promise.resolve();
  }

  /** Restarts ICE with a new offer. */
  restartIce(): void {
    this.#call?.setIceServers(this.#iceServers);
    this.#call?.restartIce();
    this.#negotiate();
  }

  /** Leaves the room. No callback is called after this. */
  leave(): void {
    if (this.#isOver) return;
    this.#options.signalling.send(this.room, "leave", {});
    this.#finish();
  }

  async #enter(): Promise<void> {
    const { signalling, room } = this.#options;
    // Before joining, so that no participant joins or leaves unseen in between.
    const destination = `/topic/rooms/${room}/events`;
    this.#unsubscribeEvents = signalling.subscribe<RoomEvent>(destination, (event) => this.#happened(event));
    try {
      if (this.#resumeToken === undefined) await this.#join();
      else await this.#resume(this.#resumeToken);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #join(): Promise<void> {
    this.#iceServers = await this.#options.iceServers.get();
    if (this.#isOver) return;
    await this.#joinWithOffer();
    if (this.#isOver) return;
    this.#makeRoom();
    this.#sendState();
  }

  async #joinWithOffer(): Promise<void> {
    const { signalling, room } = this.#options;
    const call = this.#startCall();
    const sdp = await call.offer();
    if (this.#isOver) return;
    const body = { ...this.#introduction, sdp, mids: call.mids };
    const joined = await signalling.request(room, "join", "joined", body);
    // Before awaiting `accept`: messages that arrive meanwhile are newer and must not be overwritten.
    this.#joined(joined);
    if (this.#isOver || joined.answer === undefined) return;
    const accepted = call.accept(joined.answer);
    this.#negotiation = accepted.catch(() => {});
    await accepted;
  }

  async #resume(token: string): Promise<void> {
    const { signalling, room, name } = this.#options;
    try {
      this.#joined(await signalling.request(room, "join", "joined", { name }, { resume: token }));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      // The server no longer has this participant, after a long absence for example: join as a new one.
      this.#resumeToken = undefined;
      await this.#join();
      return;
    }
    this.#makeRoom();
    signalling.send(room, "view", { slots: [], auto: true }); // the reply has the current slots
    this.#sendState();
    this.#watchMedia();
  }

  /** The fields of every `join`. */
  get #introduction(): { name: string; password?: string } {
    const { name, password } = this.#options;
    return password === undefined ? { name } : { name, password };
  }

  #whenEntered(): Promise<void> {
    return new Promise((resolve) => this.#entered.add(resolve));
  }

  #tellEntered(): void {
    for (const resolve of this.#entered) resolve();
    this.#entered.clear();
  }

  #joined(joined: Joined): void {
    if (this.#isOver) return;
    this.#isWaiting = false;
    this.#resumeToken = joined.resume_token;
    this.#iceServers = joined.ice_servers;
    this.roster.reset(joined);
    this.#isLocked = joined.locked === true;
    this.#obey();
    this.chat.reconcile(joined.chat_seq);
    this.#unsubscribeChat();
    this.#unsubscribeChat = this.#options.signalling.subscribe<ChatMessage>(
      `/topic/rooms/${this.room}/chat`,
      (message) => {
        if (this.chat.add(message)) this.#changed();
      },
      this.chat.replayHeader,
    );
    this.#tellEntered();
    this.#changed();
  }

  #startCall(): Call {
    this.#call?.close();
    const { media, relayOnly } = this.#options;
    const call = new Call(media.state satisfies CallTracks, {
      iceServers: this.#iceServers,
      iceTransportPolicy: relayOnly ? "relay" : "all",
    });
    call.peerConnection.addEventListener("connectionstatechange", () => this.#watchMedia());
    this.#call = call;
    this.#watchMedia();
    return call;
  }

  /** Makes a new offer after those in progress. */
  #negotiate(): void {
    this.#negotiation = this.#negotiation.then(async () => {
      const { signalling, room } = this.#options;
      const call = this.#call;
      if (this.#isOver || call === undefined) return;
      try {
        const sdp = await call.offer();
        const answer = await signalling.request(room, "offer", "answer", { sdp });
        await call.accept(answer.sdp);
        signalling.send(room, "sources", { mids: call.mids });
        this.#makeRoom();
      } catch (error) {
        console.warn("The offer was not answered:", error); // the media timer tries again
        if (error instanceof Refused && error.code === "rate_limited") {
          setTimeout(() => this.#negotiate(), OFFER_PAUSE_MS);
        }
      }
      this.#changed();
    });
  }

  /** Restarts ICE when media does not connect in time. */
  #watchMedia(): void {
    if (this.#isOver) return;
    clearTimeout(this.#mediaTimer);
    const state = this.peerConnection?.connectionState;
    if (state === "connected") {
      this.#wasConnected = true;
      this.#iceRestarts = 0;
    } else if (state !== undefined && state !== "closed") {
      const patience = state === "failed" ? 0 : MEDIA_PATIENCE_MS;
      const delay = patience + this.#iceRestarts * MEDIA_PATIENCE_MS;
      this.#mediaTimer = setTimeout(() => this.#recoverMedia(), delay);
    }
    this.#changed();
  }

  #recoverMedia(): void {
    // After a lost signalling connection, `#resume` watches the media again.
    if (this.#isOver || !this.#options.signalling.isOpen) return;
    this.#iceRestarts += 1;
    if (this.#iceRestarts > MAX_ICE_RESTARTS) {
      this.#iceRestarts = 0;
      this.#options.signalling.send(this.room, "leave", {});
      this.#resumeToken = undefined;
      this.#join().catch((error: unknown) => this.#failed(error));
      return;
    }
    this.restartIce();
    this.#watchMedia();
  }

  /** Adds video slots when there are fewer than other participants. */
  #makeRoom(): void {
    const call = this.#call;
    // Before the first answer nothing can be added; `#join` calls this again after it.
    if (call?.peerConnection.currentRemoteDescription == null) return;
    if (this.roster.others.length <= call.videoSlots) return;
    // Doubles the number, so that a room that fills up needs few offers.
    if (call.ensureVideoSlots(Math.max(this.roster.others.length, call.videoSlots * 2))) {
      this.#negotiate();
    }
  }

  async #retryDevices(): Promise<void> {
    await this.#options.media.open();
    await this.#publishDevices();
  }

  /** Publishes the current microphone and camera. */
  async #publishDevices(): Promise<void> {
    const { media, signalling } = this.#options;
    if (this.#call === undefined) return;
    await this.#call.replaceTracks(media.state);
    signalling.send(this.room, "sources", { mids: this.#call.mids });
    this.#sendState();
  }

  #sendState(): void {
    const { media, signalling } = this.#options;
    signalling.send(this.room, "state", { muted: media.muted, camera_off: media.cameraOff });
    this.#changed();
  }

  #signalled(signal: Signal): void {
    if (this.moderation.apply(signal)) this.#changed();
    switch (signal.type) {
      case "slots":
        this.roster.showSlots(signal.slots);
        this.#changed();
        break;
      case "ice_servers":
        this.#iceServers = signal.ice_servers;
        this.#call?.setIceServers(signal.ice_servers);
        break;
      case "codec_mismatch":
        for (const { mid, wanted } of signal.mismatches) void this.#call?.prefer(mid, wanted[0]);
        break;
      case "bitrate_exceeded":
        console.warn(`The m-line ${signal.mid} exceeds ${signal.bits_per_second} bit/s.`);
        break;
      case "kicked":
        this.#end("kicked", signal.reason);
        break;
      case "error":
        console.warn(`The server refused (${signal.code}): ${signal.message}`);
        if (signal.code !== "waiting") break;
        this.#isWaiting = true;
        this.#changed();
        break;
      case "moved":
        location.assign(signal.url);
        break;
      default: // replies, which Signalling gives to the request's caller
    }
  }

  #happened(event: RoomEvent): void {
    this.roster.apply(event);
    if (event.type === "message_deleted") this.chat.delete(event.seq);
    if (event.type === "participant_joined") this.#makeRoom();
    if (event.type === "participant_changed" && event.participant.id === this.roster.self?.id) this.#obey();
    if (event.type === "room_changed") this.#isLocked = event.room.locked;
    if (event.type === "room_ended") this.#end("room_ended", event.reason);
    this.#changed();
  }

  /** Stops sending the sources that the server does not forward. */
  #obey(): void {
    const { media } = this.#options;
    const self = this.roster.self;
    const isListener = self?.role === "listener";
    if (isListener || this.roster.isStopped(self, "microphone")) media.muted = true;
    if (isListener || this.roster.isStopped(self, "camera")) media.cameraOff = true;
  }

  #mayNotSend(source: "microphone" | "camera"): boolean {
    const { self } = this.roster;
    const isListener = self?.role === "listener";
    const isStopped = this.roster.isStopped(self, source);
    if (isListener || isStopped) this.#complain(isListener ? texts.listenersWatch : texts.stoppedByHost);
    return isListener || isStopped;
  }

  #complain(message: string): void {
    this.#problem = message;
    this.#changed();
  }

  #failed(error: unknown): void {
    if (error instanceof Refused) {
      this.#end(error.code, error.message);
    } else if (this.#options.signalling.isOpen && !this.#isOver) {
      this.#end("internal", error instanceof Error ? error.message : String(error));
    } // else the connection was lost meanwhile; `#enter` runs again when it reopens
  }

  #end(code: string, message: string): void {
    if (this.#isOver) return;
    this.#finish();
    this.#options.onEnded(code, message);
  }

  #finish(): void {
    this.#isOver = true;
    this.#tellEntered();
    clearTimeout(this.#mediaTimer);
    this.#unsubscribeEvents();
    this.#unsubscribeChat();
    for (const end of this.#endings) end();
    this.#call?.close();
  }

  #changed(): void {
    if (!this.#isOver) this.#options.onChange();
  }
}
