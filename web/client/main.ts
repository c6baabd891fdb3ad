import "./style.css";
import { IceServers } from "./ice-servers.ts";
import { Lobby } from "./lobby.ts";
import { LocalMedia } from "./local-media.ts";
import { pathOfRoom, roomInPath } from "./room-name.ts";
import { RoomSession } from "./room-session.ts";
import { RoomView } from "./room-view.ts";
import { type ShutOut, Signalling, signallingUrl } from "./signalling.ts";
import { SignIn } from "./sign-in.ts";
import { endingText, language, shutOutText, texts } from "./texts.ts";
import { forgetToken, keepToken, keptToken, nameIn, takeToken } from "./token.ts";

/** `?name=X&autojoin=1&relay=1`, kept in the address of the lobby and of rooms. */
const query = new URLSearchParams(location.search);
const NAME_KEY = "madang.name";

const media = new LocalMedia();
let token = takeToken(location) ?? keptToken();
const signalling = new Signalling(signallingUrl(location), token);
const iceServers = new IceServers(signalling);
const app = document.querySelector<HTMLElement>("#app") ?? document.body;
let session: RoomSession | undefined;
/** Why the server no longer accepts this page; undefined again with another token. */
let shutOut: ShutOut | undefined;
/** Closes the current page. */
let closePage = () => {};

function showLobby(notice?: string, needsPassword = false): void {
  if (shutOut !== undefined) return showSignIn(shutOut);
  closePage();
  document.title = "Madang";
  const lobby = new Lobby({
    media,
    signalling,
    name: query.get("name") ?? nameIn(token) ?? localStorage.getItem(NAME_KEY) ?? "",
    room: roomInPath(location.pathname) ?? "",
    ...(notice === undefined ? {} : { notice }),
    needsPassword,
    onJoin(name, room, password) {
      localStorage.setItem(NAME_KEY, name);
      history.pushState(null, "", pathOfRoom(room) + location.search);
      enterRoom(name, room, password);
    },
  });
  app.replaceChildren(lobby.root);
  lobby.focus();
  closePage = () => lobby.close();
}

function showSignIn(reason: ShutOut): void {
  shutOut = reason;
  closePage();
  document.title = "Madang";
  const page = new SignIn({
    notice: shutOutText(reason, token !== undefined),
    onToken(given) {
      keepToken(given);
      void signIn(given);
    },
  });
  forgetToken();
  app.replaceChildren(page.root);
  page.focus();
  closePage = () => page.root.remove();
}

async function signIn(given: string): Promise<void> {
  token = given;
  shutOut = undefined;
  await signalling.signIn(given);
  showLobby();
}

function enterRoom(name: string, room: string, password?: string): void {
  closePage();
  document.title = `${room} · Madang`;
  const stay = new RoomSession({
    signalling,
    iceServers,
    media,
    room,
    name,
    ...(password === undefined ? {} : { password }),
    relayOnly: query.get("relay") === "1",
    onChange: () => view.update(),
    onEnded: (code, message) => {
      const asked = code === "wrong_password";
      if (asked) showLobby(password === undefined ? texts.passwordNeeded : texts.passwordWrong, true);
      else showLobby(endingText(code, message));
    },
  });
  session = stay;
  const view = new RoomView(stay, media, () => {
    history.pushState(null, "", `/${location.search}`);
    showLobby();
  });
  app.replaceChildren(view.root);
  stay.start();
  closePage = () => {
    stay.leave();
    session = undefined;
    view.close();
  };
}

async function start(): Promise<void> {
  document.documentElement.lang = language;
  signalling.onShutOut = showSignIn;
  signalling.whenOpen(() => {
    if (session === undefined) void iceServers.get();
  });
  const room = roomInPath(location.pathname);
  const name = query.get("name")?.trim();
  if (query.get("autojoin") === "1" && room !== undefined && name) {
    await media.open();
    enterRoom(name, room);
  } else {
    showLobby();
  }
}

// Back and forward leave a room. They never enter one: that takes a click on Join.
addEventListener("popstate", () => showLobby());
// Opening a link with a token in the same tab changes only the hash, and does not reload the page.
addEventListener("hashchange", () => {
  const given = takeToken(location);
  if (given !== undefined) void signIn(given);
});
// A closing tab leaves the room, so that it does not stay for others until its connection times out.
addEventListener("pagehide", () => session?.leave());
// A page from the back/forward cache shows an old state; it has left the room.
addEventListener("pageshow", (event) => {
  if (event.persisted) showLobby();
});

/** For the browser's console and for tests. */
const inspection = Object.freeze({
  get peerConnection(): RTCPeerConnection | undefined {
    return session?.peerConnection;
  },
  /** Restarts ICE, as after a change of network. */
  restartIce: () => session?.restartIce(),
});
Object.defineProperty(window, "madang", { value: inspection });

void start();
