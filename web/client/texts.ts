/** Everything that the page says, in English and Korean. */

import type { ShutOut } from "./signalling.ts";

const english = {
  tagline: "Video rooms for your team",
  yourName: "Your name",
  namePlaceholder: "e.g. Hana",
  room: "Room",
  roomPlaceholder: "e.g. weekly-meeting",
  roomHint: "Letters, digits, - and _, or Hangul; no spaces",
  roomInvalid: "A room name has 1 to 64 letters, digits, hyphens, underscores or Hangul syllables.",
  nameMissing: "Please say what others shall call you.",
  join: "Join",
  openRooms: "Open rooms",
  created: (time: string) => `created ${time}`,
  locked: "locked",
  password: "Room password",
  passwordNeeded: "This room has a password.",
  passwordWrong: "That is not this room's password.",
  noOpenRooms: "No room is open at the moment. Join one to open it.",
  people: (count: number) => (count === 1 ? "1 person" : `${count} people`),
  you: "You",
  youNamed: (name: string) => `${name} (you)`,
  preview: "Camera preview",
  openingDevices: "Waiting for camera and microphone…",
  denied: "Camera or microphone were not allowed. You can join and listen, or allow them in your browser.",
  missing: "No camera or no microphone was found. You can still join.",
  busy: "Camera or microphone are used by another program. You can still join.",
  insecure: "Browsers give camera and microphone only to HTTPS pages. You can join and listen.",
  mute: "Mute",
  unmute: "Unmute",
  cameraOff: "Turn camera off",
  cameraOn: "Turn camera on",
  leave: "Leave",
  chat: "Chat",
  showChat: "Show chat",
  hideChat: "Hide chat",
  noMessages: "No messages yet. Say hello!",
  writeMessage: "Write a message",
  send: "Send",
  notSent: "The message could not be sent. Please try again.",
  privately: "privately",
  copyLink: "Copy link",
  linkCopied: "Link copied",
  alone: "Nobody else is here yet. Share the link to invite people.",
  playSound: "Turn sound on",
  muted: "muted",
  participants: "Participants",
  close: "Close",
  roles: { host: "Host", speaker: "Speaker", listener: "Listener" },
  roleOf: (name: string) => `Role of ${name}`,
  mutePerson: (name: string) => `Mute ${name}`,
  stopCamera: (name: string) => `Turn off ${name}'s camera`,
  letSpeak: (name: string) => `Let ${name} speak again`,
  letShow: (name: string) => `Let ${name} turn the camera on again`,
  stoppedByHost: "A host has switched this off. Ask them to allow it again.",
  listenersWatch: "You are here to watch and listen. A host can let you speak.",
  kick: (name: string) => `Remove ${name}`,
  ban: (name: string) => `Remove ${name} for good`,
  reallyBan: (name: string) => `Remove ${name} for good? They can't come back.`,
  wantToCome: "Waiting to come in",
  admit: "Admit",
  deny: "Deny",
  lockRoom: "Lock the room",
  unlockRoom: "Unlock the room",
  endRoom: "End for everybody",
  reallyEndRoom: "End the meeting for everybody?",
  deleteMessage: "Delete message",
  waitingRoom: "A host lets you in soon.",
  waiting: "Waiting to be let in…",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  roomFull: "This room is full.",
  roomLocked: "This room is locked.",
  kicked: "You were removed from the room.",
  roomEnded: "The room was closed.",
  draining: "The server is being restarted. Please try again in a moment.",
  overloaded: "The server has no capacity at the moment. Please try again later.",
  refused: (reason: string) => `Joining did not work: ${reason}`,
  token: "Token",
  tokenHint: "Paste the token, or the whole link with it, that you were given.",
  signIn: "Sign in",
  noToken: "That is no token. It has three parts with dots between them.",
  tokenNeeded: "This server lets nobody in without a token.",
  tokenRefused: (reason: string) => `Your token was not accepted: ${reason}`,
  tokenExpired: "Your token has expired. You need a new one.",
  tokenRevoked: "Your token was revoked.",
};

const korean: typeof english = {
  tagline: "우리 팀의 화상 회의실",
  yourName: "이름",
  namePlaceholder: "예: 하나",
  room: "회의실",
  roomPlaceholder: "예: 주간회의",
  roomHint: "한글, 영문, 숫자, -, _ (공백 없이)",
  roomInvalid: "회의실 이름은 한글, 영문, 숫자, -, _ 로 1자 이상 64자 이하여야 합니다.",
  nameMissing: "다른 사람에게 보일 이름을 입력해 주세요.",
  join: "입장하기",
  openRooms: "열려 있는 회의실",
  created: (time) => `${time} 생성`,
  locked: "잠김",
  password: "회의실 비밀번호",
  passwordNeeded: "비밀번호가 필요한 회의실입니다.",
  passwordWrong: "회의실 비밀번호가 맞지 않습니다.",
  noOpenRooms: "열려 있는 회의실이 없습니다. 입장하면 새로 열립니다.",
  people: (count) => `${count}명`,
  you: "나",
  youNamed: (name) => `${name} (나)`,
  preview: "카메라 미리보기",
  openingDevices: "카메라와 마이크를 기다리는 중…",
  denied: "카메라나 마이크 사용이 허용되지 않았습니다. 듣기만 하며 입장하거나 브라우저에서 허용해 주세요.",
  missing: "카메라나 마이크를 찾지 못했습니다. 그대로 입장할 수 있습니다.",
  busy: "다른 프로그램이 카메라나 마이크를 사용하고 있습니다. 그대로 입장할 수 있습니다.",
  insecure: "브라우저는 HTTPS 페이지에서만 카메라와 마이크를 허용합니다. 듣기만 하며 입장할 수 있습니다.",
  mute: "음소거",
  unmute: "음소거 해제",
  cameraOff: "카메라 끄기",
  cameraOn: "카메라 켜기",
  leave: "나가기",
  chat: "채팅",
  showChat: "채팅 열기",
  hideChat: "채팅 닫기",
  noMessages: "아직 메시지가 없습니다. 인사를 건네 보세요!",
  writeMessage: "메시지 입력",
  send: "보내기",
  notSent: "메시지를 보내지 못했습니다. 다시 시도해 주세요.",
  privately: "귓속말",
  copyLink: "링크 복사",
  linkCopied: "복사했습니다",
  alone: "아직 아무도 없습니다. 링크를 보내 초대해 보세요.",
  playSound: "소리 켜기",
  muted: "음소거됨",
  participants: "참가자",
  close: "닫기",
  roles: { host: "진행자", speaker: "발표자", listener: "청중" },
  roleOf: (name) => `${name}님의 역할`,
  mutePerson: (name) => `${name}님 음소거`,
  stopCamera: (name) => `${name}님 카메라 끄기`,
  letSpeak: (name) => `${name}님 음소거 해제 허용`,
  letShow: (name) => `${name}님 카메라 다시 허용`,
  stoppedByHost: "진행자가 껐습니다. 다시 켤 수 있게 해 달라고 요청하세요.",
  listenersWatch: "청중으로 참여하고 있습니다. 진행자가 발표자로 바꿔 줄 수 있습니다.",
  kick: (name) => `${name}님 내보내기`,
  ban: (name) => `${name}님 영구히 내보내기`,
  reallyBan: (name) => `${name}님을 영구히 내보낼까요? 다시 들어올 수 없습니다.`,
  wantToCome: "입장 대기 중",
  admit: "입장 허용",
  deny: "거절",
  lockRoom: "회의실 잠그기",
  unlockRoom: "회의실 잠금 해제",
  endRoom: "모두 종료하기",
  reallyEndRoom: "모든 참가자의 회의를 종료할까요?",
  deleteMessage: "메시지 삭제",
  waitingRoom: "진행자가 곧 입장을 허용합니다.",
  waiting: "입장 허용을 기다리는 중…",
  connecting: "연결하는 중…",
  connected: "연결됨",
  reconnecting: "다시 연결하는 중…",
  roomFull: "회의실이 가득 찼습니다.",
  roomLocked: "잠긴 회의실입니다.",
  kicked: "회의실에서 내보내졌습니다.",
  roomEnded: "회의실이 닫혔습니다.",
  draining: "서버를 다시 시작하는 중입니다. 잠시 후 다시 시도해 주세요.",
  overloaded: "서버에 여유가 없습니다. 나중에 다시 시도해 주세요.",
  refused: (reason) => `입장하지 못했습니다: ${reason}`,
  token: "토큰",
  tokenHint: "받으신 토큰이나 토큰이 들어 있는 링크 전체를 붙여 넣어 주세요.",
  signIn: "로그인",
  noToken: "토큰이 아닙니다. 토큰은 점으로 나뉜 세 부분으로 되어 있습니다.",
  tokenNeeded: "이 서버는 토큰이 있어야 들어올 수 있습니다.",
  tokenRefused: (reason) => `토큰이 받아들여지지 않았습니다: ${reason}`,
  tokenExpired: "토큰이 만료되었습니다. 새 토큰이 필요합니다.",
  tokenRevoked: "토큰이 취소되었습니다.",
};

export const language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
export const texts = language === "ko" ? korean : english;

/** Why a stay in a room ended or did not begin, for people. */
export function endingText(code: string, message: string): string {
  switch (code) {
    case "room_full":
      return texts.roomFull;
    case "room_locked":
      return texts.roomLocked;
    case "kicked":
      return texts.kicked;
    case "room_ended":
      return texts.roomEnded;
    case "draining":
      return texts.draining;
    case "overloaded":
      return texts.overloaded;
    default:
      return texts.refused(message);
  }
}

/** Why the server lets this page in no more, for people. */
export function shutOutText({ why, detail }: ShutOut, hadToken: boolean): string {
  switch (why) {
    case "token expired":
      return texts.tokenExpired;
    case "token revoked":
      return texts.tokenRevoked;
    case "not authenticated":
      return hadToken ? texts.tokenRefused(detail) : texts.tokenNeeded;
  }
}
