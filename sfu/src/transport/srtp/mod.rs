//! SRTP and SRTCP (RFC 3711, RFC 7714), keyed by DTLS (RFC 5764).
//!
//! A DTLS association yields one [`Inbound`] and one [`Outbound`]. Both work in place on the caller's buffer and
//! allocate nothing per packet:
//!
//! ```text
//! RTP   | header | payload | tag |                      header in clear, tag over both
//! RTCP  | header and SSRC | rest of the compound | tag | E, index |      GCM
//! RTCP  | header and SSRC | rest of the compound | E, index | tag |      AES-CM with HMAC-SHA1
//! ```
//!
//! The caller keeps the state of streams, because it can bound it. The rollover counter of an outgoing stream belongs
//! to whoever numbers its packets, and is an argument. That of an incoming stream is in an [`RtpStream`], which the
//! caller keeps per SSRC; it changes only if a packet is authentic, so nobody without the keys can make the server
//! store anything. What is left of a stream that ended is in an [`RtpStreams`], for the life of the keys.
//!
//! Not supported, because WebRTC does not use them: MKI, 32-bit tags, key derivation rates, unencrypted SRTCP and
//! re-keying.

use aws_lc_rs::error::Unspecified;

use kdf::{Prf, Session};
use replay::RtcpSenders;
pub(crate) use stream::RtpStream;
pub(crate) use streams::RtpStreams;
use transform::Transform;

mod cm_sha1;
mod gcm;
mod kdf;
mod replay;
mod stream;
mod streams;
mod transform;

/// Length of the fixed RTP header (RFC 3550 §5.1), in bytes.
const RTP_HEADER: usize = 12;

/// Length of the clear part of an SRTCP packet, in bytes: the first RTCP header and its sender's SSRC.
const RTCP_HEADER: usize = 8;

/// The SRTCP index has 31 bits (RFC 3711 §3.4).
const RTCP_INDEX_MASK: u32 = 0x7fff_ffff;

/// A protection profile of DTLS-SRTP (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`, 0x0007. Preferable: 0.7 µs per packet cheaper than AES-CM.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`, 0x0008.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`, 0x0001.
    Aes128CmSha1_80,
}

impl Profile {
    /// Length of the master key and of the session keys for encryption, in bytes.
    pub(crate) fn key_len(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::Aes128CmSha1_80 => 16,
            Profile::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt and of the session salts, in bytes.
    pub(crate) fn salt_len(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => gcm::SALT,
            Profile::Aes128CmSha1_80 => cm_sha1::SALT,
        }
    }

    /// Bytes that protection adds to an RTP packet.
    pub(crate) fn rtp_overhead(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => gcm::TAG,
            Profile::Aes128CmSha1_80 => cm_sha1::TAG,
        }
    }

    /// Bytes that protection adds to a compound RTCP packet.
    pub(crate) fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + size_of::<u32>()
    }

    /// Bytes of keying material that the DTLS exporter must provide (RFC 5764 §4.2).
    pub(crate) fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// Why a packet could not be opened. The packet is counted and dropped. Its bytes are undefined afterwards, so it can't
/// be opened a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SrtpError {
    /// Too short for the profile, or unencrypted SRTCP.
    #[error("the packet is not a valid SRTP or SRTCP packet of the negotiated profile")]
    Malformed,
    /// Already opened, or too old to tell (RFC 3711 §3.3.2).
    #[error("the packet was already received, or is too old to tell")]
    Replayed,
    /// The authentication tag does not match.
    #[error("the packet's authentication tag is wrong")]
    NotAuthentic,
}

/// 2³¹ SRTCP packets were sent, the most that one key may protect (RFC 3711 §9.2). At a thousand packets a second,
/// which no session reaches, this takes 24 days. The peer has to reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SRTCP key has protected the maximum number of packets")]
pub(crate) struct KeyExhausted;

/// Creates the contexts of both directions from the keying material of a DTLS handshake (RFC 5764 §4.2). `is_client`
/// says whether this side was the DTLS client. `None` if the length of the material differs from the profile's
/// [`keying_material_len`](Profile::keying_material_len).
pub(crate) fn contexts(
    profile: Profile,
    keying_material: &[u8],
    is_client: bool,
) -> Option<(Inbound, Outbound)> {
    if keying_material.len() != profile.keying_material_len() {
        return None;
    }
    let (keys, salts) = keying_material.split_at(2 * profile.key_len());
    let (client_key, server_key) = keys.split_at(profile.key_len());
    let (client_salt, server_salt) = salts.split_at(profile.salt_len());

    let client = DirectionKeys::derive(profile, client_key, client_salt).ok()?;
    let server = DirectionKeys::derive(profile, server_key, server_salt).ok()?;
    let (local, remote) = if is_client { (client, server) } else { (server, client) };
    Some((Inbound::new(remote), Outbound::new(local)))
}

/// The session keys of one direction.
struct DirectionKeys {
    rtp: Transform,
    rtcp: Transform,
}

impl DirectionKeys {
    fn derive(profile: Profile, key: &[u8], salt: &[u8]) -> Result<DirectionKeys, Unspecified> {
        let prf = Prf::new(key, salt)?;
        Ok(DirectionKeys {
            rtp: Transform::new(profile, &prf, Session::Rtp)?,
            rtcp: Transform::new(profile, &prf, Session::Rtcp)?,
        })
    }
}

/// Protects packets sent to one peer.
pub(crate) struct Outbound {
    keys: DirectionKeys,
    /// The index of the next SRTCP packet. It counts the packets of all senders, as they share the key.
    next_rtcp_index: u32,
}

impl Outbound {
    fn new(keys: DirectionKeys) -> Outbound {
        Outbound { keys, next_rtcp_index: 0 }
    }

    /// Seals `packet` in place: the RTP header of `header_len` bytes (with CSRCs and extension), the payload, and
    /// [`Profile::rtp_overhead`] spare bytes for the tag.
    ///
    /// `roc` is the rollover counter of the packet's sequence number (RFC 3711 §3.3.1). The caller owns the 48-bit
    /// index, and must never use one for two different packets of an SSRC: under GCM that reveals the key.
    ///
    /// # Panics
    /// If `header_len` is below 12, or `packet` is shorter than header and tag.
    pub(crate) fn protect_rtp(&self, packet: &mut [u8], header_len: usize, roc: u32) {
        assert!(header_len >= RTP_HEADER, "the caller wrote a whole RTP header");
        let index = u64::from(roc) << 16 | u64::from(sequence_number(packet));
        self.keys.rtp.seal_rtp(packet, header_len, index);
    }

    /// Seals `packet` in place: a compound RTCP packet and [`Profile::rtcp_overhead`] spare bytes.
    ///
    /// # Panics
    /// If `packet` is shorter than an RTCP header with an SSRC and the overhead.
    pub(crate) fn protect_rtcp(&mut self, packet: &mut [u8]) -> Result<(), KeyExhausted> {
        let index = self.next_rtcp_index;
        if index > RTCP_INDEX_MASK {
            return Err(KeyExhausted);
        }
        self.keys.rtcp.seal_rtcp(packet, index);
        self.next_rtcp_index = index + 1;
        Ok(())
    }
}

/// Opens packets received from one peer.
pub(crate) struct Inbound {
    keys: DirectionKeys,
    rtcp_senders: RtcpSenders,
}

impl Inbound {
    fn new(keys: DirectionKeys) -> Inbound {
        Inbound { keys, rtcp_senders: RtcpSenders::default() }
    }

    /// Opens an SRTP packet in place, and returns the length of header and payload together. `header_len` includes
    /// CSRCs and extension. `stream` is the state of the packet's SSRC, or the default for an unknown one; it changes
    /// only on `Ok`.
    pub(crate) fn unprotect_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        stream: &mut RtpStream,
    ) -> Result<usize, SrtpError> {
        if header_len < RTP_HEADER || packet.len() < header_len {
            return Err(SrtpError::Malformed);
        }
        let index = stream.index_of(sequence_number(packet)).ok_or(SrtpError::Replayed)?;
        if !stream.is_new(index) {
            return Err(SrtpError::Replayed);
        }
        let opened = self.keys.rtp.open_rtp(packet, header_len, index)?;
        stream.mark_opened(index);
        Ok(opened)
    }

    /// Opens an SRTCP packet in place, and returns the length of the compound RTCP packet.
    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let index = self.keys.rtcp.rtcp_index(packet).ok_or(SrtpError::Malformed)?;
        let ssrc = u32::from_be_bytes(array(packet, 4));
        if !self.rtcp_senders.is_new(ssrc, index) {
            return Err(SrtpError::Replayed);
        }
        let opened = self.keys.rtcp.open_rtcp(packet, index)?;
        self.rtcp_senders.mark_opened(ssrc, index);
        Ok(opened)
    }
}

fn sequence_number(packet: &[u8]) -> u16 {
    u16::from_be_bytes(array(packet, 2))
}

/// `N` bytes at `at`. The packet must have been checked to be long enough.
fn array<const N: usize>(packet: &[u8], at: usize) -> [u8; N] {
    *packet[at..].first_chunk().expect("the fixed header was checked to be there")
}

#[cfg(test)]
mod tests;
