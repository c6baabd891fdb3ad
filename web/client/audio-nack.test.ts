import { expect, test } from "vitest";
import { withAudioNack } from "./audio-nack.ts";

const AUDIO = ["m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "a=mid:0", "a=rtpmap:111 opus/48000/2"];
const REST = [
  "a=rtcp-fb:111 transport-cc",
  "a=fmtp:111 minptime=10;useinbandfec=1",
  "a=rtpmap:63 red/48000/2",
];
const VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", ""];

test("every m-line with Opus may ask for lost packets, and nothing else changes", () => {
  const offer = lines(...AUDIO, ...REST, ...AUDIO, ...REST, ...VIDEO);

  const nack = "a=rtcp-fb:111 nack";
  expect(withAudioNack(offer)).toBe(lines(...AUDIO, nack, ...REST, ...AUDIO, nack, ...REST, ...VIDEO));
});

test("an offer that says so already stays as it is", () => {
  const offer = lines(...AUDIO, ...REST.slice(0, 2), "a=rtcp-fb:111 nack", ...VIDEO);

  expect(withAudioNack(offer)).toBe(offer);
});

function lines(...lines: string[]): string {
  return lines.join("\r\n");
}
