/** The JSON messages between client and server: the types of `control/wire` in TypeScript. */

export type SourceKind = "microphone" | "camera" | "screen" | "screen_audio";

/** The source of each published m-line, by `a=mid`. */
export type Mids = Record<string, SourceKind>;

export type Role = "host" | "speaker" | "listener";

export interface Participant {
  id: string;
  name: string;
  role: Role;
  joined_at: string;
  muted: boolean;
  camera_off: boolean;
  hand_raised: boolean;
  sources: SourceKind[];
  /** The sources that a moderator has stopped; absent when there are none. */
  stopped?: SourceKind[];
}

/** A receiving m-line and the participant and source that it carries. */
export interface Slot {
  mid: string;
  participant: string | null;
  source: SourceKind | null;
  /** Why it carries this, or nothing; other values may come. */
  reason?: string | null;
}

/** A codec, and how many receivers of the room can decode it. */
export interface RoomCodec {
  mime_type: string;
  sdp_fmtp_line?: string;
  receivers: number;
}

/** A published m-line that some viewers can't decode. */
export interface CodecMismatch {
  mid: string;
  /** The fewest codecs with which it reaches the most receivers, the best first. */
  wanted: RoomCodec[];
}

export interface Joined {
  type: "joined";
  participant: Participant;
  resume_token: string;
  participants: Participant[];
  ice_servers: RTCIceServer[];
  answer?: string;
  slots?: Slot[];
  chat_seq: number;
  /** Whether the room is locked: nobody else can join. */
  locked?: boolean;
}

export interface Refusal {
  type: "error";
  code: string;
  message: string;
}

/** A visitor whom a moderator may admit. */
export interface Waiting {
  id: string;
  name: string;
}

/** A message on `/user/queue/signal`. */
export type Signal =
  | Joined
  | { type: "answer"; sdp: string }
  /** `ttl` is how long the credentials are valid, in seconds. */
  | { type: "ice_servers"; ice_servers: RTCIceServer[]; ttl: number }
  | { type: "slots"; slots: Slot[] }
  | { type: "codec_mismatch"; mismatches: CodecMismatch[] }
  | { type: "bitrate_exceeded"; mid: string; bits_per_second: number }
  | { type: "done" }
  | { type: "left" }
  | Refusal
  | { type: "waiting"; waiting: Waiting[] }
  | { type: "kicked"; reason: string }
  | { type: "moved"; url: string };

/** A message on `/topic/rooms/{room}/events`, of the types that the page uses. */
export type RoomEvent =
  | { type: "participant_joined" | "participant_changed"; participant: Participant }
  | { type: "participant_left"; participant: Participant; reason: string }
  | { type: "source_added" | "source_removed"; participant: string; source: SourceKind }
  | { type: "speakers"; speakers: { participant: string; level: number }[] }
  | { type: "message_deleted"; seq: number; id: string }
  | { type: "room_changed"; room: RoomSummary }
  | { type: "room_ended"; reason: string };

/** A message on `/topic/rooms/{room}/chat`. */
export interface ChatMessage {
  seq: number;
  id: string;
  from: { id: string; name: string };
  text: string;
  to?: string;
  /** Whether the message was deleted: then its text is empty. */
  deleted?: boolean;
  sent_at: string;
}

/** The actions of the `moderate` request (protocol §3). */
export type ModerateAction =
  | "mute"
  | "stop_camera"
  | "stop_screen"
  | "kick"
  | "ban"
  | "lock"
  | "unlock"
  | "admit"
  | "deny"
  | "set_role"
  | "delete_message"
  | "end_room";

/** A message on `/topic/rooms`. A room with 0 participants is no longer open. */
export interface RoomSummary {
  name: string;
  participants: number;
  created_at: string;
  locked: boolean;
}
