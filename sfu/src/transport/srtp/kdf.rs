//! Derives session keys from master keys: AES-CM as a pseudo-random function (RFC 3711 §4.3, RFC 6188 §3 for 256 bits,
//! RFC 7714 §11 for GCM), with a key derivation rate of zero.

use aws_lc_rs::cipher::{
    AES_128, AES_128_KEY_LEN, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

/// The protocol that session keys are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Session {
    Rtp,
    Rtcp,
}

/// The purpose of a derived key. The numbers are the labels of RFC 3711 §4.3.1 for RTP; those for RTCP are three higher
/// (§4.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Encryption = 0,
    Authentication = 1,
    Salt = 2,
}

/// Generates the key stream of a master key.
pub(super) struct Prf {
    key: EncryptingKey,
    /// The master salt times 2¹⁶. GCM's 12 bytes are padded on the right to AES-CM's 14.
    salt: [u8; 16],
}

impl Prf {
    pub(super) fn new(master_key: &[u8], master_salt: &[u8]) -> Result<Prf, Unspecified> {
        let mut salt = [0; 16];
        salt.get_mut(..master_salt.len()).ok_or(Unspecified)?.copy_from_slice(master_salt);
        Ok(Prf { key: counter_mode(master_key)?, salt })
    }

    /// Fills `out` with the session key for `purpose`.
    pub(super) fn derive(
        &self,
        session: Session,
        purpose: Purpose,
        out: &mut [u8],
    ) -> Result<(), Unspecified> {
        let label = match session {
            Session::Rtp => purpose as u8,
            Session::Rtcp => purpose as u8 + 3,
        };
        let mut iv = self.salt;
        iv[7] ^= label;
        out.fill(0);
        apply_key_stream(&self.key, iv, out)
    }
}

/// AES in counter mode, for a key of 16 or 32 bytes.
pub(super) fn counter_mode(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm = if key.len() == AES_128_KEY_LEN { &AES_128 } else { &AES_256 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}

/// Encrypts or decrypts; in counter mode, both are the same operation.
pub(super) fn apply_key_stream(
    key: &EncryptingKey,
    iv: [u8; 16],
    bytes: &mut [u8],
) -> Result<(), Unspecified> {
    key.less_safe_encrypt(bytes, EncryptionContext::Iv128(FixedLength::from(iv))).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    #[test]
    fn rfc_3711_b3_derives_128_bit_keys() {
        let prf = Prf::new(
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();

        assert_derives(&prf, Purpose::Encryption, "C61E7A93744F39EE10734AFE3FF7A087");
        assert_derives(&prf, Purpose::Salt, "30CBBC08863D8C85D49DB34A9AE1");
        assert_derives(
            &prf,
            Purpose::Authentication,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE\
             E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25\
             6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        );
    }

    #[test]
    fn rfc_6188_derives_256_bit_keys() {
        let prf = Prf::new(
            &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
            &hex("3b04803de51ee7c96423ab5b78d2"),
        )
        .unwrap();

        assert_derives(
            &prf,
            Purpose::Encryption,
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
        );
        assert_derives(&prf, Purpose::Salt, "fa31791685ca444a9e07c6c64e93");
        assert_derives(&prf, Purpose::Authentication, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
    }

    #[test]
    fn rfc_3711_b2_gives_the_key_stream() {
        let key = counter_mode(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let iv = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = vec![0; 1_044_512];

        apply_key_stream(&key, iv, &mut stream).unwrap();

        let first = "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
                     41E95B3BB0A2E8DD477901E4FCA894C0";
        let last = "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE\
                    6A2CC3787889374FBEB4C81B17BA6C44";
        assert!(stream.starts_with(&hex(first)));
        assert!(stream.ends_with(&hex(last)));
    }

    fn assert_derives(prf: &Prf, purpose: Purpose, expected: &str) {
        let expected = hex(expected);
        let mut derived = vec![0xff; expected.len()];
        prf.derive(Session::Rtp, purpose, &mut derived).unwrap();
        assert_eq!(derived, expected);
    }
}
