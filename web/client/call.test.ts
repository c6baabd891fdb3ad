import { expect, test } from "vitest";
import { cameraEncodings, isForwarded, isSame } from "./call.ts";

test.each([
  ["audio/opus", "minptime=10;useinbandfec=1"],
  ["audio/red", "111/111"],
  ["video/VP8", undefined],
  ["video/rtx", undefined],
  ["video/VP9", "profile-id=0"],
  ["video/AV1", "level-idx=5;profile=0;tier=0"],
  ["video/H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"],
])("%s with %s is offered", (mimeType, sdpFmtpLine) => {
  expect(isForwarded(codec(mimeType, sdpFmtpLine))).toBe(true);
});

test.each([
  ["audio/PCMU", undefined],
  ["audio/telephone-event", undefined],
  ["video/ulpfec", undefined],
  ["video/red", undefined],
  ["video/VP9", "profile-id=2"],
  ["video/AV1", "level-idx=5;profile=1;tier=0"],
  ["video/H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"],
  ["video/H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034"],
])("%s with %s is not offered", (mimeType, sdpFmtpLine) => {
  expect(isForwarded(codec(mimeType, sdpFmtpLine))).toBe(false);
});

test.each([
  [960, 540, [4, 2, 1], [true, true, true]],
  [1280, 720, [4, 2, 1], [true, true, true]],
  [540, 960, [4, 2, 1], [true, true, true]],
  [undefined, undefined, [4, 2, 1], [true, true, true]],
  [640, 480, [2, 1, 1], [true, true, false]],
  [320, 180, [1, 1, 1], [true, false, false]],
])("a camera of %s x %s is sent in fitting sizes", (width, height, scales, active) => {
  const encodings = cameraEncodings(width, height);
  expect(encodings.map(({ rid }) => rid)).toEqual(["q", "h", "f"]);
  expect(encodings.map(({ scaleResolutionDownBy }) => scaleResolutionDownBy)).toEqual(scales);
  expect(encodings.map(({ active }) => active)).toEqual(active);
});

test("a codec that the server names is found by its type and parameters", () => {
  const h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
  const named = (mime_type: string) => ({ mime_type, receivers: 1 });
  const withProfile = { ...named("video/H264"), sdp_fmtp_line: h264 };
  expect(isSame(codec("video/VP8", undefined), named("video/vp8"))).toBe(true);
  expect(isSame(codec("video/H264", h264), withProfile)).toBe(true);
  expect(isSame(codec("video/H264", h264), named("video/H264"))).toBe(false);
  expect(isSame(codec("video/VP8", undefined), named("video/VP9"))).toBe(false);
});

function codec(mimeType: string, sdpFmtpLine: string | undefined): RTCRtpCodec {
  return { mimeType, clockRate: 90_000, ...(sdpFmtpLine === undefined ? {} : { sdpFmtpLine }) };
}
