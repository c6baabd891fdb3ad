/**
 * An offer in which lost audio may be asked for again (RFC 4585 §4.2), beside Opus' own error correction. No browser
 * offers it by itself: there is no setting for it, only this line. Those that don't know it leave it out.
 */
export function withAudioNack(sdp: string): string {
  return sdp.replace(
    /^a=rtpmap:(\d+) opus\/48000\/2\r\n(?!(?:a=(?:rtcp-fb|fmtp):\1 .*\r\n)*a=rtcp-fb:\1 nack\r\n)/gm,
    (line, payloadType: string) => `${line}a=rtcp-fb:${payloadType} nack\r\n`,
  );
}
