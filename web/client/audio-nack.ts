/**
 * Adds NACK for Opus (RFC 4585 §4.2) to an offer, so that lost audio is retransmitted in addition to Opus' own error
 * correction. No browser offers it by itself, and there is no API for it other than this line. Browsers that do not
 * support it ignore the line.
 */
export function withAudioNack(sdp: string): string {
  return sdp.replace(
    /^a=rtpmap:(\d+) opus\/48000\/2\r\n(?!(?:a=(?:rtcp-fb|fmtp):\1 .*\r\n)*a=rtcp-fb:\1 nack\r\n)/gm,
    (line, payloadType: string) => `${line}a=rtcp-fb:${payloadType} nack\r\n`,
  );
}
