//! SRTP and SRTCP with AES-GCM (RFC 3711, RFC 7714), as far as a light peer needs them.
//!
//! It shares no code with the server, so that a bug there is not repeated here. It has no replay protection: duplicates
//! must be counted, not hidden.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// The number of bytes that encryption adds to an RTP packet.
pub const RTP_OVERHEAD: usize = TAG;
/// The length of the salt and of the GCM nonce (RFC 7714 §12).
const SALT: usize = 12;
const TAG: usize = 16;
/// The length of the word after an SRTCP packet: E flag and index (RFC 7714 §9.2).
const INDEX_WORD: usize = 4;
const ENCRYPTED: u32 = 1 << 31;
const RTCP_HEADER: usize = 8;

/// The keys of both directions for one peer, which is the DTLS client.
pub struct Keys {
    inbound: Direction,
    outbound: Direction,
    next_rtcp_index: u32,
}

struct Direction {
    rtp: Cipher,
    rtcp: Cipher,
}

struct Cipher {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Keys {
    /// Splits the key material exported by DTLS (RFC 5764 §4.2); `key_len` is 16 or 32. `None` when there is too
    /// little.
    pub fn of_client(key_len: usize, material: &[u8]) -> Option<Keys> {
        let (keys, salts) = material.split_at_checked(2 * key_len)?;
        let (ours, theirs) = keys.split_at(key_len);
        let (our_salt, rest) = salts.split_first_chunk()?;
        let (their_salt, _) = rest.split_first_chunk()?;
        Some(Keys {
            inbound: Direction::new(theirs, their_salt)?,
            outbound: Direction::new(ours, our_salt)?,
            next_rtcp_index: 1,
        })
    }

    /// Encrypts an RTP packet; `rollovers` is how often its sequence number has wrapped around.
    pub fn seal_rtp(&self, packet: &mut Vec<u8>, header_len: usize, rollovers: u32) -> Option<()> {
        let iv = rtp_iv(packet, rollovers)?;
        self.outbound.rtp.seal(iv, packet, header_len, &[])
    }

    /// Decrypts an RTP packet in place; returns the length of header and payload.
    pub fn open_rtp(&self, packet: &mut [u8], header_len: usize, rollovers: u32) -> Option<usize> {
        let iv = rtp_iv(packet, rollovers)?;
        let length = packet.len();
        self.inbound.rtp.open(iv, packet, header_len..length, &[])
    }

    /// Encrypts a compound RTCP packet.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let index = self.next_rtcp_index;
        self.next_rtcp_index = (index + 1) & !ENCRYPTED;
        let word = (index | ENCRYPTED).to_be_bytes();
        let iv = rtcp_iv(packet, index)?;
        self.outbound.rtcp.seal(iv, packet, RTCP_HEADER, &word)?;
        packet.extend_from_slice(&word);
        Some(())
    }

    /// Decrypts an RTCP packet in place; returns its length.
    pub fn open_rtcp(&self, packet: &mut [u8]) -> Option<usize> {
        let sealed = packet.len().checked_sub(INDEX_WORD)?;
        let word: [u8; INDEX_WORD] = packet[sealed..].try_into().ok()?;
        let index = u32::from_be_bytes(word);
        // RFC 7714 §9.3 also allows packets that are only authenticated; the server never sends them.
        let index = (index & ENCRYPTED != 0).then_some(index & !ENCRYPTED)?;
        let iv = rtcp_iv(packet, index)?;
        self.inbound.rtcp.open(iv, packet, RTCP_HEADER..sealed, &word)
    }
}

impl Direction {
    /// Derives the session keys with the labels of RFC 3711 §4.3.2.
    fn new(master_key: &[u8], master_salt: &[u8; SALT]) -> Option<Direction> {
        let cipher = |key_label, salt_label| {
            let mut key = [0; 32];
            let key = &mut key[..master_key.len()];
            derive(master_key, master_salt, key_label, key)?;
            let mut salt = [0; SALT];
            derive(master_key, master_salt, salt_label, &mut salt)?;
            let algorithm = match key.len() {
                16 => &AES_128_GCM,
                _ => &AES_256_GCM,
            };
            Some(Cipher { key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?), salt })
        };
        Some(Direction { rtp: cipher(0, 2)?, rtcp: cipher(3, 5)? })
    }
}

/// Key derivation by AES counter mode over zeros (RFC 3711 §4.3.1 and §4.3.3). A salt of 12 bytes is the upper part of
/// one of 14 bytes (RFC 7714 §11).
fn derive(master_key: &[u8], salt: &[u8; SALT], label: u8, out: &mut [u8]) -> Option<()> {
    let algorithm = match master_key.len() {
        16 => &cipher::AES_128,
        32 => &cipher::AES_256,
        _ => return None,
    };
    let mut iv = [0; 16];
    iv[..SALT].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    let key = EncryptingKey::ctr(UnboundCipherKey::new(algorithm, master_key).ok()?).ok()?;
    key.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(())
}

impl Cipher {
    fn seal(
        &self,
        iv: [u8; SALT],
        packet: &mut Vec<u8>,
        clear: usize,
        more_clear: &[u8],
    ) -> Option<()> {
        let (header, payload) = packet.split_at_mut_checked(clear)?;
        let aad = Aad::from([header, more_clear].concat());
        let tag = self.key.seal_in_place_separate_tag(self.nonce(iv), aad, payload).ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(())
    }

    fn open(
        &self,
        iv: [u8; SALT],
        packet: &mut [u8],
        sealed: std::ops::Range<usize>,
        more_clear: &[u8],
    ) -> Option<usize> {
        let (header, rest) = packet.split_at_mut_checked(sealed.start)?;
        let sealed = rest.get_mut(..sealed.len())?;
        let aad = Aad::from([&*header, more_clear].concat());
        let opened = self.key.open_in_place(self.nonce(iv), aad, sealed).ok()?;
        Some(header.len() + opened.len())
    }

    fn nonce(&self, mut iv: [u8; SALT]) -> Nonce {
        iv.iter_mut().zip(self.salt).for_each(|(byte, salt)| *byte ^= salt);
        Nonce::assume_unique_for_key(iv)
    }
}

/// The IV of RFC 7714 §8.1: SSRC, rollover counter, sequence number.
fn rtp_iv(packet: &[u8], rollovers: u32) -> Option<[u8; SALT]> {
    let mut iv = [0; SALT];
    iv[2..6].copy_from_slice(packet.get(8..12)?);
    iv[6..10].copy_from_slice(&rollovers.to_be_bytes());
    iv[10..].copy_from_slice(packet.get(2..4)?);
    Some(iv)
}

/// The IV of RFC 7714 §9.1: SSRC, index.
fn rtcp_iv(packet: &[u8], index: u32) -> Option<[u8; SALT]> {
    let mut iv = [0; SALT];
    iv[2..6].copy_from_slice(packet.get(4..8)?);
    iv[8..].copy_from_slice(&index.to_be_bytes());
    Some(iv)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends of one connection: each decrypts what the other encrypts.
    fn ends(key_len: usize) -> (Keys, Keys) {
        let material: Vec<u8> = (0..(2 * (key_len + SALT)) as u8).collect();
        let client = Keys::of_client(key_len, &material).unwrap();
        let Keys { inbound, outbound, .. } = Keys::of_client(key_len, &material).unwrap();
        let server = Keys { inbound: outbound, outbound: inbound, next_rtcp_index: 1 };
        (client, server)
    }

    fn packet() -> Vec<u8> {
        let mut packet = vec![0x80, 96, 0xFF, 0xFE, 0, 0, 0, 1, 1, 2, 3, 4];
        packet.extend(b"payload");
        packet
    }

    #[test]
    fn the_key_derivation_is_that_of_rfc_3711_appendix_b_3() {
        let key = bytes("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt: [u8; 14] = bytes("0EC675AD498AFEEBB6960B3AABE6").try_into().unwrap();
        // The vectors have a salt of 14 bytes; the test adds the last two bytes by hand.
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&salt);
        let cipher =
            EncryptingKey::ctr(UnboundCipherKey::new(&cipher::AES_128, &key).unwrap()).unwrap();
        let mut expected = [0; 16];
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        cipher.less_safe_encrypt(&mut expected, context).unwrap();
        assert_eq!(expected[..], bytes("C61E7A93744F39EE10734AFE3FF7A087"));

        let short: [u8; SALT] = std::array::from_fn(|at| salt[at]);
        let mut derived = [1; 16];
        derive(&key, &short, 0, &mut derived).unwrap();
        iv[12..].fill(0);
        let mut padded = [0; 16];
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        cipher.less_safe_encrypt(&mut padded, context).unwrap();
        assert_eq!(derived, padded);
    }

    #[test]
    fn an_rtp_packet_is_that_of_rfc_7714_section_16() {
        let key: Vec<u8> = (0..16).collect();
        let cipher = Cipher {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap()),
            salt: bytes("517569642070726f2071756f").try_into().unwrap(),
        };
        let mut packet = bytes("8040f17b8041f8d35501a0b2");
        packet.extend(b"Gallia est omnis divisa in partes tres");

        let iv = rtp_iv(&packet, 0).unwrap();
        cipher.seal(iv, &mut packet, 12, &[]).unwrap();

        assert_eq!(
            packet,
            bytes(
                "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a\
                 51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
            )
        );
    }

    #[test]
    fn what_one_end_seals_the_other_opens() {
        for key_len in [16, 32] {
            let (client, server) = ends(key_len);
            for rollovers in [0, 1, 70_000] {
                let mut sealed = packet();
                client.seal_rtp(&mut sealed, 12, rollovers).unwrap();
                assert_eq!(sealed.len(), packet().len() + RTP_OVERHEAD);
                let mut wrong = sealed.clone();
                assert_eq!(server.open_rtp(&mut wrong, 12, rollovers + 1), None);

                let length = server.open_rtp(&mut sealed, 12, rollovers).unwrap();

                assert_eq!(sealed[..length], packet());
            }
        }
    }

    #[test]
    fn rtcp_is_opened_and_damage_found() {
        let (mut client, server) = ends(32);
        let report = vec![0x80, 201, 0, 1, 9, 9, 9, 9];
        for _ in 0..2 {
            let mut sealed = report.clone();
            client.seal_rtcp(&mut sealed).unwrap();
            for at in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[at] ^= 1;
                assert_eq!(server.open_rtcp(&mut damaged), None, "byte {at}");
                assert_eq!(server.open_rtcp(&mut sealed[..at].to_vec()), None, "cut to {at}");
            }
            let length = server.open_rtcp(&mut sealed).unwrap();
            assert_eq!(sealed[..length], report);
        }
    }

    #[test]
    fn too_little_material_gives_no_keys() {
        for length in 0..56 {
            assert!(Keys::of_client(16, &vec![1; length]).is_none(), "{length}");
        }
        assert!(Keys::of_client(16, &[1; 56]).is_some());
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }
}
