//! The cryptography of a profile, packet by packet, without replay protection or rollover.

use aws_lc_rs::error::Unspecified;

use super::cm_sha1::{self, CmSha1};
use super::gcm::{self, Gcm};
use super::kdf::{Prf, Purpose, Session};
use super::{Profile, RTCP_INDEX_MASK, SrtpError};

/// The flag in front of the index that marks an SRTCP packet as encrypted (RFC 3711 §3.4).
const ENCRYPTED: u32 = 0x8000_0000;

/// The session keys of one direction of RTP or of RTCP. Indexes have 48 bits for RTP (rollover counter and sequence
/// number), and 31 for RTCP.
///
/// Boxed, because key schedules are hundreds of bytes long and differ in size.
pub(super) enum Transform {
    Gcm(Box<Gcm>),
    CmSha1(Box<CmSha1>),
}

impl Transform {
    pub(super) fn new(
        profile: Profile,
        prf: &Prf,
        session: Session,
    ) -> Result<Transform, Unspecified> {
        let mut key = [0; 32];
        let key = &mut key[..profile.key_len()];
        prf.derive(session, Purpose::Encryption, key)?;
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let mut salt = [0; gcm::SALT];
                prf.derive(session, Purpose::Salt, &mut salt)?;
                Ok(Transform::Gcm(Box::new(Gcm::new(key, salt)?)))
            }
            Profile::Aes128CmSha1_80 => {
                let mut auth = [0; cm_sha1::AUTH_KEY];
                let mut salt = [0; cm_sha1::SALT];
                prf.derive(session, Purpose::Authentication, &mut auth)?;
                prf.derive(session, Purpose::Salt, &mut salt)?;
                Ok(Transform::CmSha1(Box::new(CmSha1::new(key, &auth, salt)?)))
            }
        }
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, index: u64) {
        match self {
            Transform::Gcm(keys) => keys.seal_rtp(packet, header_len, index),
            Transform::CmSha1(keys) => keys.seal_rtp(packet, header_len, index),
        }
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        match self {
            Transform::Gcm(keys) => keys.open_rtp(packet, header_len, index),
            Transform::CmSha1(keys) => keys.open_rtp(packet, header_len, index),
        }
    }

    pub(super) fn seal_rtcp(&self, packet: &mut [u8], index: u32) {
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Transform::Gcm(keys) => keys.seal_rtcp(packet, word, index.into()),
            Transform::CmSha1(keys) => keys.seal_rtcp(packet, word, index.into()),
        }
    }

    /// The index in an SRTCP packet, not yet authenticated. `None` if the packet is too short, or not encrypted: RFC
    /// 8827 §6.5 forbids unencrypted RTCP, and libsrtp refuses it too.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let word = match self {
            Transform::Gcm(_) => Gcm::rtcp_word(packet)?,
            Transform::CmSha1(_) => CmSha1::rtcp_word(packet)?,
        };
        let word = u32::from_be_bytes(word);
        (word & ENCRYPTED != 0).then_some(word & RTCP_INDEX_MASK)
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], index: u32) -> Result<usize, SrtpError> {
        match self {
            Transform::Gcm(keys) => keys.open_rtcp(packet, index.into()),
            Transform::CmSha1(keys) => keys.open_rtcp(packet, index.into()),
        }
    }
}
