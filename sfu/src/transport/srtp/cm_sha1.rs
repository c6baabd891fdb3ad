//! AES128_CM_HMAC_SHA1_80, the profile that every WebRTC peer supports (RFC 3711 §4.1.1, §4.2.1).

use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

use super::gcm::xor;
use super::kdf::{apply_key_stream, counter_mode};
use super::{RTCP_HEADER, SrtpError, array};

/// Length of the session salt, in bytes.
pub(super) const SALT: usize = 14;

/// Length of the authentication tag, in bytes: 80 bits of HMAC-SHA1's 160.
pub(super) const TAG: usize = 10;

/// Length of the authentication key, in bytes.
pub(super) const AUTH_KEY: usize = 20;

/// Length of the E flag and SRTCP index ahead of the tag, in bytes.
const WORD: usize = 4;

/// The session keys of one direction of RTP or of RTCP.
pub(super) struct CmSha1 {
    cipher: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; SALT],
}

impl CmSha1 {
    pub(super) fn new(
        key: &[u8],
        auth_key: &[u8; AUTH_KEY],
        salt: [u8; SALT],
    ) -> Result<CmSha1, Unspecified> {
        Ok(CmSha1 {
            cipher: counter_mode(key)?,
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_key),
            salt,
        })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, index: u64) {
        let iv = self.iv(array(packet, 8), index);
        let (body, tag) = split_tag(packet).expect("the caller left room for the tag");
        self.encrypt(iv, &mut body[header_len..]);
        *tag = self.tag(body, &roc(index));
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let iv = self.iv(array(packet, 8), index);
        let (body, tag) = split_tag(packet).ok_or(SrtpError::Malformed)?;
        if body.len() < header_len {
            return Err(SrtpError::Malformed);
        }
        self.authenticate(body, &roc(index), tag)?;
        self.encrypt(iv, &mut body[header_len..]);
        Ok(body.len())
    }

    /// `word` is the E flag and index as sent.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], word: [u8; WORD], index: u64) {
        let iv = self.iv(array(packet, 4), index);
        let (body, tag) = split_tag(packet).expect("the caller left room for the overhead");
        let (plaintext, trailer) =
            body.split_last_chunk_mut::<WORD>().expect("the caller left room for the overhead");
        *trailer = word;
        self.encrypt(iv, &mut plaintext[RTCP_HEADER..]);
        *tag = self.tag(body, &[]);
    }

    /// The E flag and index; `None` if the packet is too short to be SRTCP.
    pub(super) fn rtcp_word(packet: &[u8]) -> Option<[u8; WORD]> {
        let (body, _tag) = packet.split_last_chunk::<TAG>()?;
        if body.len() < RTCP_HEADER + WORD {
            return None;
        }
        body.last_chunk().copied()
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], index: u64) -> Result<usize, SrtpError> {
        if packet.len() < RTCP_HEADER + WORD + TAG {
            return Err(SrtpError::Malformed);
        }
        let iv = self.iv(array(packet, 4), index);
        let (body, tag) = split_tag(packet).ok_or(SrtpError::Malformed)?;
        self.authenticate(body, &[], tag)?;
        let end = body.len() - WORD;
        self.encrypt(iv, &mut body[RTCP_HEADER..end]);
        Ok(end)
    }

    /// RFC 3711 §4.1.1: (salt · 2¹⁶) xor (SSRC · 2⁶⁴) xor (index · 2¹⁶), the block counter last.
    fn iv(&self, ssrc: [u8; 4], index: u64) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..SALT].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc);
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        iv
    }

    /// Encrypts or decrypts.
    fn encrypt(&self, iv: [u8; 16], bytes: &mut [u8]) {
        apply_key_stream(&self.cipher, iv, bytes)
            .expect("counter mode takes any length and the IV has its length");
    }

    fn authenticate(&self, body: &[u8], suffix: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
        verify_slices_are_equal(&self.tag(body, suffix), tag).map_err(|_| SrtpError::NotAuthentic)
    }

    fn tag(&self, body: &[u8], suffix: &[u8]) -> [u8; TAG] {
        let mut mac = hmac::Context::with_key(&self.auth);
        mac.update(body);
        mac.update(suffix);
        *mac.sign().as_ref().first_chunk().expect("HMAC-SHA1 gives 20 bytes")
    }
}

fn split_tag(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; TAG])> {
    packet.split_last_chunk_mut()
}

/// The rollover counter, which is authenticated behind the packet but not sent (RFC 3711 §4.2).
fn roc(index: u64) -> [u8; 4] {
    array(&index.to_be_bytes(), 2)
}
