//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;

use super::{RTCP_HEADER, SrtpError, array};

/// Length of the session salt, in bytes.
pub(super) const SALT: usize = 12;

/// Length of the authentication tag, in bytes.
pub(super) const TAG: usize = 16;

/// Length of the E flag and SRTCP index behind the tag, in bytes.
const WORD: usize = 4;

/// The session keys of one direction of RTP or of RTCP.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Gcm {
    /// `key` has 16 or 32 bytes.
    pub(super) fn new(key: &[u8], salt: [u8; SALT]) -> Result<Gcm, Unspecified> {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(Gcm { key, salt })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, index: u64) {
        let nonce = self.nonce(array(packet, 8), index);
        let (header, rest) = packet.split_at_mut(header_len);
        self.seal(nonce, header, rest);
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let nonce = self.nonce(array(packet, 8), index);
        let (header, sealed) = packet.split_at_mut(header_len);
        Ok(header_len + self.open(nonce, header, sealed)?)
    }

    /// `word` is the E flag and index as sent.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], word: [u8; WORD], index: u64) {
        let nonce = self.nonce(array(packet, 4), index);
        let (rest, trailer) =
            packet.split_last_chunk_mut::<WORD>().expect("the caller left room for the overhead");
        *trailer = word;
        let (header, rest) = rest.split_at_mut(RTCP_HEADER);
        self.seal(nonce, &rtcp_aad(header, word), rest);
    }

    /// The E flag and index; `None` if the packet is too short to be SRTCP.
    pub(super) fn rtcp_word(packet: &[u8]) -> Option<[u8; WORD]> {
        if packet.len() < RTCP_HEADER + TAG + WORD {
            return None;
        }
        packet.last_chunk().copied()
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], index: u64) -> Result<usize, SrtpError> {
        let word = Gcm::rtcp_word(packet).ok_or(SrtpError::Malformed)?;
        let nonce = self.nonce(array(packet, 4), index);
        let end = packet.len() - WORD;
        let (header, sealed) = packet[..end].split_at_mut(RTCP_HEADER);
        Ok(RTCP_HEADER + self.open(nonce, &rtcp_aad(header, word), sealed)?)
    }

    /// RFC 7714 §8.1 and §9.1: the salt xor two zero bytes, SSRC, and the index in 48 bits.
    fn nonce(&self, ssrc: [u8; 4], index: u64) -> Nonce {
        let mut nonce = self.salt;
        xor(&mut nonce[2..6], &ssrc);
        xor(&mut nonce[6..], &index.to_be_bytes()[2..]);
        Nonce::assume_unique_for_key(nonce)
    }

    /// `rest` is the plaintext followed by room for the tag.
    fn seal(&self, nonce: Nonce, aad: &[u8], rest: &mut [u8]) {
        let (plaintext, tag) =
            rest.split_last_chunk_mut::<TAG>().expect("the caller left room for the tag");
        self.key
            .seal_in_place_scatter(nonce, Aad::from(aad), plaintext, &[], tag)
            .expect("GCM seals up to 64 GiB, a datagram is shorter");
    }

    /// Returns the length of the plaintext.
    fn open(&self, nonce: Nonce, aad: &[u8], sealed: &mut [u8]) -> Result<usize, SrtpError> {
        if sealed.len() < TAG {
            return Err(SrtpError::Malformed);
        }
        match self.key.open_in_place(nonce, Aad::from(aad), sealed) {
            Ok(plaintext) => Ok(plaintext.len()),
            Err(Unspecified) => Err(SrtpError::NotAuthentic),
        }
    }
}

/// RFC 7714 §9.2: GCM authenticates the clear header and the E flag with the index, besides the encrypted part.
fn rtcp_aad(header: &[u8], word: [u8; WORD]) -> [u8; RTCP_HEADER + WORD] {
    let mut aad = [0; RTCP_HEADER + WORD];
    aad[..RTCP_HEADER].copy_from_slice(header);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    aad
}

pub(super) fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    const KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
    const KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// RFC 7714 §16: sequence number f17b, SSRC 5501a0b2, rollover counter 0.
    const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e6973206469\
                       7669736120696e207061727465732074726573";
    const RTP_INDEX: u64 = 0xf17b;

    /// The packet of RFC 7714 §17.1 to §17.4; the one printed before them differs.
    const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                        deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    const RTCP_INDEX: u64 = 0x5d4;
    const RTCP_WORD: [u8; WORD] = [0x80, 0, 0x05, 0xd4];

    #[test]
    fn rfc_7714_16_1_protects_rtp_with_128_bits() {
        assert_rtp(
            KEY_128,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a\
             51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        );
    }

    #[test]
    fn rfc_7714_16_2_protects_rtp_with_256_bits() {
        assert_rtp(
            KEY_256,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a02\
             76ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        );
    }

    #[test]
    fn rfc_7714_17_1_protects_rtcp_with_128_bits() {
        assert_rtcp(
            KEY_128,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda\
             4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        );
    }

    #[test]
    fn rfc_7714_17_2_protects_rtcp_with_256_bits() {
        assert_rtcp(
            KEY_256,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be\
             8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        );
    }

    fn assert_rtp(key: &str, expected: &str) {
        let gcm = session(key);
        let plain = hex(RTP);
        let mut packet = [plain.clone(), vec![0; TAG]].concat();

        gcm.seal_rtp(&mut packet, 12, RTP_INDEX);
        assert_eq!(packet, hex(expected));

        let opened = gcm.open_rtp(&mut packet, 12, RTP_INDEX).unwrap();
        assert_eq!(packet[..opened], plain);
    }

    fn assert_rtcp(key: &str, expected: &str) {
        let gcm = session(key);
        let plain = hex(RTCP);
        let mut packet = [plain.clone(), vec![0; TAG + WORD]].concat();

        gcm.seal_rtcp(&mut packet, RTCP_WORD, RTCP_INDEX);
        assert_eq!(packet, hex(expected));

        let opened = gcm.open_rtcp(&mut packet, RTCP_INDEX).unwrap();
        assert_eq!(packet[..opened], plain);
    }

    fn session(key: &str) -> Gcm {
        let salt = hex("517569642070726f2071756f").try_into().unwrap();
        Gcm::new(&hex(key), salt).unwrap()
    }
}
