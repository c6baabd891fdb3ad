/** Takes the documentation's picture of a room: `npm run picture`. The cameras show drawn people. */
import { fileURLToPath } from "node:url";
import { assertMediaFlows, connected, hears, join, launchBrowser, newVisitor, say } from "./browser.mjs";
import { startServer } from "./server.mjs";

const ROOM = "주간회의";
const PEOPLE = [
  { name: "김하나", wall: ["#dfe9e4", "#9fb8ad"], skin: "#e8bd9c", hair: "#2b211d", shirt: "#2f6f5e" },
  { name: "이두리", wall: ["#f3e5d3", "#c9a980"], skin: "#d9a47e", hair: "#4a2f22", shirt: "#b5533c" },
  { name: "Sam Park", wall: ["#dfe3f1", "#94a1c6"], skin: "#f0c9a8", hair: "#6b4a2c", shirt: "#3c4f86" },
  { name: "박서준", wall: ["#ece4ee", "#a891b3"], skin: "#dcae8b", hair: "#1d1a1c", shirt: "#5b4b66" },
];

const server = await startServer();
const browser = await launchBrowser();
try {
  const pages = [];
  for (const person of PEOPLE) {
    const page = await newVisitor(browser, { colorScheme: "light", viewport: { width: 1280, height: 720 } });
    await page.addInitScript(drawnCamera, person);
    await join(page, server, ROOM, person.name);
    await connected(page);
    pages.push(page);
  }
  const [hana, dul, sam, seojun] = pages;
  await talk([
    [dul, "안녕하세요! 다들 잘 들리시나요?"],
    [hana, "네, 아주 잘 들려요."],
    [sam, "Hello from Busan! I can hear everybody."],
    [seojun, "오늘 안건입니다:\n1. 지난주 진행 상황\n2. 다음 배포 일정"],
    [hana, "좋아요, 1번부터 시작할게요."],
  ]);
  await seojun.getByTestId("mute-button").click();
  await assertMediaFlows(hana, { from: 3, seconds: 1 });
  await hana.screenshot({ path: fileURLToPath(new URL("../docs/room.png", import.meta.url)) });
} finally {
  await browser.close();
  await server.stop();
}

async function talk(lines) {
  for (const [page, text] of lines) {
    await say(page, text);
    await hears(page, text.split("\n")[0]);
  }
}

/** Runs in the page: replaces the camera by a drawing of a person, and keeps the browser's fake microphone. */
function drawnCamera({ wall, skin, hair, shirt }) {
  const devices = navigator.mediaDevices;
  const realGetUserMedia = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async ({ audio }) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
    const pen = canvas.getContext("2d");
    const oval = (x, y, width, height, colour) => {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.ellipse(x, y, width, height, 0, 0, 2 * Math.PI);
      pen.fill();
    };
    const draw = (time) => {
      const sway = 4 * Math.sin(time / 900);
      const light = pen.createLinearGradient(0, 0, 640, 360);
      light.addColorStop(0, wall[0]);
      light.addColorStop(1, wall[1]);
      pen.fillStyle = light;
      pen.fillRect(0, 0, 640, 360);
      oval(320 + sway, 150, 74, 88, hair);
      oval(320 + sway / 2, 390, 150, 125, shirt);
      pen.fillStyle = skin;
      pen.fillRect(294 + sway, 215, 52, 70);
      oval(320 + sway, 172, 60, 76, skin);
      oval(320 + sway, 106, 60, 30, hair);
      oval(297 + sway, 168, 6, 7, "#2a2320");
      oval(343 + sway, 168, 6, 7, "#2a2320");
      pen.strokeStyle = "#7c4a3a";
      pen.lineWidth = 4;
      pen.beginPath();
      pen.arc(320 + sway, 198, 18, 0.2 * Math.PI, 0.8 * Math.PI);
      pen.stroke();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    const stream = canvas.captureStream(30);
    if (audio) for (const track of (await realGetUserMedia({ audio })).getTracks()) stream.addTrack(track);
    return stream;
  };
}
