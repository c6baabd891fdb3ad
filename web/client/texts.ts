/** Every text that the page shows, in English and Korean. */

import type { ShutOut } from "./signalling.ts";

const english = {
  tagline: "Video rooms for your team",
  yourName: "Your name",
  namePlaceholder: "e.g. Hana",
  room: "Room",
  roomPlaceholder: "e.g. weekly-meeting",
  roomHint: "Letters, digits, Hangul, - and _. No spaces.",
  roomInvalid: "Enter a room name of 1 to 64 letters, digits, Hangul syllables, - or _.",
  nameMissing: "Enter your name.",
  join: "Join",
  openRooms: "Open rooms",
  created: (time: string) => `created ${time}`,
  locked: "locked",
  password: "Room password",
  passwordNeeded: "This room requires a password.",
  passwordWrong: "The room password is incorrect.",
  noOpenRooms: "No rooms are open. Enter a room name to start one.",
  people: (count: number) => (count === 1 ? "1 person" : `${count} people`),
  you: "You",
  youNamed: (name: string) => `${name} (you)`,
  preview: "Camera preview",
  openingDevices: "Waiting for access to your camera and microphone…",
  denied: "Access to your camera or microphone is blocked. Allow it in your browser, or join without it.",
  missing: "Camera or microphone not found. You can still join.",
  busy: "Another program is using your camera or microphone. You can still join.",
  insecure: "Browsers allow camera and microphone only on HTTPS pages. You can join to watch and listen.",
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
  notSent: "The message was not sent. Try again.",
  privately: "private",
  copyLink: "Copy link",
  linkCopied: "Link copied",
  alone: "No one else is here yet. Share the room link to invite people.",
  playSound: "Turn sound on",
  muted: "Muted",
  undecodable: "Your browser cannot play this video.",
  participants: "Participants",
  close: "Close",
  roles: { host: "Host", speaker: "Speaker", listener: "Listener" },
  roleOf: (name: string) => `Role of ${name}`,
  mutePerson: (name: string) => `Mute ${name}`,
  stopCamera: (name: string) => `Turn off ${name}'s camera`,
  letSpeak: (name: string) => `Allow ${name} to unmute`,
  letShow: (name: string) => `Allow ${name} to turn the camera on`,
  stoppedByHost: "A host turned this off. Ask a host to allow it again.",
  listenersWatch: "You are a listener. Ask a host to make you a speaker.",
  kick: (name: string) => `Remove ${name}`,
  ban: (name: string) => `Ban ${name}`,
  reallyBan: (name: string) => `Ban ${name}? They cannot join this room again.`,
  wantToCome: "Waiting to join",
  admit: "Admit",
  deny: "Deny",
  lockRoom: "Lock room",
  unlockRoom: "Unlock room",
  endRoom: "End for everyone",
  reallyEndRoom: "End the meeting for everyone?",
  deleteMessage: "Delete message",
  waitingRoom: "Waiting for a host to let you in.",
  waiting: "Waiting to join…",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  roomFull: "This room is full.",
  roomLocked: "This room is locked.",
  kicked: "You were removed from the room.",
  roomEnded: "The meeting has ended.",
  draining: "The server is restarting. Try again in a moment.",
  overloaded: "The server is at capacity. Try again later.",
  refused: (reason: string) => `Could not join: ${reason}`,
  token: "Invitation link or token",
  tokenHint: "Paste the invitation link or token that you received.",
  signIn: "Continue",
  noToken: "This invitation link is not valid. Paste the whole link or token.",
  tokenNeeded: "You need an invitation link to join.",
  tokenRefused: (reason: string) => `Your invitation was rejected: ${reason}`,
  tokenExpired: "Your invitation has expired. Ask for a new one.",
  tokenRevoked: "Your invitation was revoked.",
};

const korean: typeof english = {
  tagline: "우리 팀의 화상 회의실",
  yourName: "이름",
  namePlaceholder: "예: 김하나",
  room: "회의실",
  roomPlaceholder: "예: 주간회의",
  roomHint: "한글, 영문, 숫자, -, _를 공백 없이 입력해 주세요.",
  roomInvalid: "회의실 이름은 한글, 영문, 숫자, -, _만 써서 1~64자로 입력해 주세요.",
  nameMissing: "이름을 입력해 주세요.",
  join: "입장하기",
  openRooms: "열려 있는 회의실",
  created: (time) => `${time} 생성`,
  locked: "잠김",
  password: "회의실 비밀번호",
  passwordNeeded: "비밀번호가 필요한 회의실이에요.",
  passwordWrong: "회의실 비밀번호가 맞지 않아요.",
  noOpenRooms: "열려 있는 회의실이 없어요. 회의실 이름을 입력하고 입장하면 새로 열려요.",
  people: (count) => `${count}명`,
  you: "나",
  youNamed: (name) => `${name} (나)`,
  preview: "카메라 미리보기",
  openingDevices: "카메라와 마이크 사용 허용을 기다리고 있어요…",
  denied: "카메라나 마이크 사용이 차단되어 있어요. 브라우저에서 허용하거나 그대로 입장할 수 있어요.",
  missing: "카메라나 마이크를 찾을 수 없어요. 그대로 입장할 수 있어요.",
  busy: "다른 프로그램이 카메라나 마이크를 사용하고 있어요. 그대로 입장할 수 있어요.",
  insecure: "카메라와 마이크는 HTTPS 페이지에서만 쓸 수 있어요. 보고 듣기만 하며 참여할 수 있어요.",
  mute: "음소거",
  unmute: "음소거 해제",
  cameraOff: "카메라 끄기",
  cameraOn: "카메라 켜기",
  leave: "나가기",
  chat: "채팅",
  showChat: "채팅 열기",
  hideChat: "채팅 닫기",
  noMessages: "아직 메시지가 없어요. 먼저 인사를 건네 보세요!",
  writeMessage: "메시지를 입력하세요",
  send: "보내기",
  notSent: "메시지를 보내지 못했어요. 다시 시도해 주세요.",
  privately: "귓속말",
  copyLink: "링크 복사",
  linkCopied: "링크를 복사했어요",
  alone: "아직 다른 참가자가 없어요. 회의실 링크를 보내 초대해 보세요.",
  playSound: "소리 켜기",
  muted: "음소거됨",
  undecodable: "이 브라우저에서는 이 영상을 재생할 수 없어요.",
  participants: "참가자",
  close: "닫기",
  roles: { host: "진행자", speaker: "발표자", listener: "청중" },
  roleOf: (name) => `${name}님의 역할`,
  mutePerson: (name) => `${name}님 음소거`,
  stopCamera: (name) => `${name}님 카메라 끄기`,
  letSpeak: (name) => `${name}님 음소거 해제 허용`,
  letShow: (name) => `${name}님 카메라 켜기 허용`,
  stoppedByHost: "진행자가 껐어요. 다시 켜려면 진행자에게 요청해 주세요.",
  listenersWatch: "청중으로 참여하고 있어요. 발표자가 되려면 진행자에게 요청해 주세요.",
  kick: (name) => `${name}님 내보내기`,
  ban: (name) => `${name}님 차단하기`,
  reallyBan: (name) => `${name}님을 차단할까요? 이 회의실에 다시 들어올 수 없어요.`,
  wantToCome: "입장 대기 중",
  admit: "입장 허용",
  deny: "거절",
  lockRoom: "회의실 잠그기",
  unlockRoom: "회의실 잠금 해제",
  endRoom: "회의 종료하기",
  reallyEndRoom: "모든 참가자의 회의를 종료할까요?",
  deleteMessage: "메시지 삭제",
  waitingRoom: "진행자가 입장을 허용하기를 기다리고 있어요.",
  waiting: "입장 대기 중…",
  connecting: "연결하는 중…",
  connected: "연결됨",
  reconnecting: "다시 연결하는 중…",
  roomFull: "회의실이 가득 찼어요.",
  roomLocked: "잠긴 회의실이에요.",
  kicked: "회의실에서 내보내졌어요.",
  roomEnded: "회의가 종료되었어요.",
  draining: "서버를 다시 시작하고 있어요. 잠시 후 다시 시도해 주세요.",
  overloaded: "서버에 여유가 없어요. 나중에 다시 시도해 주세요.",
  refused: (reason) => `입장하지 못했어요: ${reason}`,
  token: "초대 링크 또는 토큰",
  tokenHint: "받은 초대 링크나 토큰을 붙여 넣어 주세요.",
  signIn: "계속하기",
  noToken: "초대 링크가 올바르지 않아요. 링크나 토큰 전체를 붙여 넣어 주세요.",
  tokenNeeded: "초대 링크가 있어야 입장할 수 있어요.",
  tokenRefused: (reason) => `초대 링크를 사용할 수 없어요: ${reason}`,
  tokenExpired: "초대 링크가 만료되었어요. 새 링크를 요청해 주세요.",
  tokenRevoked: "초대 링크가 취소되었어요.",
};

export const language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
export const texts = language === "ko" ? korean : english;

/** The text for a stay in a room that ended, or that did not begin. `code` is an error code of protocol §4. */
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

/** The text for a page that the server no longer accepts. */
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
