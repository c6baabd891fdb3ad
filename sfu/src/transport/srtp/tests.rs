use proptest::prelude::*;

use super::*;

const PROFILES: [Profile; 3] =
    [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];

const HEADER: usize = 12;
const SSRC: u32 = 0x5501_a0b2;

#[test]
fn client_and_server_open_each_others_packets() {
    for profile in PROFILES {
        let material = material(profile);
        let (mut client_in, mut client_out) = contexts(profile, &material, true).unwrap();
        let (mut server_in, mut server_out) = contexts(profile, &material, false).unwrap();

        for (from, to) in [(&mut client_out, &mut server_in), (&mut server_out, &mut client_in)] {
            let mut rtp = seal(from, profile, 7);
            let mut rtcp = seal_rtcp(from, profile, SSRC);

            let rtp_len = to.unprotect_rtp(&mut rtp, HEADER, &mut RtpStream::default()).unwrap();
            let rtcp_len = to.unprotect_rtcp(&mut rtcp).unwrap();

            assert_eq!(rtp[..rtp_len], plain(7));
            assert_eq!(rtcp[..rtcp_len], report(SSRC));
        }
    }
}

#[test]
fn a_peer_cannot_open_its_own_packets() {
    for profile in PROFILES {
        let (mut inbound, mut outbound) = contexts(profile, &material(profile), true).unwrap();
        let mut rtp = seal(&outbound, profile, 7);
        let mut rtcp = seal_rtcp(&mut outbound, profile, SSRC);

        let opened = inbound.unprotect_rtp(&mut rtp, HEADER, &mut RtpStream::default());

        assert_eq!(opened, Err(SrtpError::NotAuthentic));
        assert_eq!(inbound.unprotect_rtcp(&mut rtcp), Err(SrtpError::NotAuthentic));
    }
}

#[test]
fn keying_material_of_another_profile_is_refused() {
    for profile in PROFILES {
        for len in 0..100 {
            let fits = len == profile.keying_material_len();
            assert_eq!(contexts(profile, &vec![1; len], true).is_some(), fits);
        }
    }
}

/// The packets that libsrtp's own tests expect, from master keys on.
#[test]
fn packets_match_those_of_libsrtp() {
    let rtp = "800f1234decafbadcafebabeabababababababababababababababab";
    let rtcp = "81c8000bcafebabeabababababababababababababababab";

    assert_sealed(
        Profile::AeadAes128Gcm,
        "000102030405060708090a0b0c0d0e0f",
        "a0a1a2a3a4a5a6a7a8a9aaab",
        (
            rtp,
            "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a1\
               27e8a392",
        ),
        (
            rtcp,
            "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e\
                80000001",
        ),
    );
    assert_sealed(
        Profile::Aes128CmSha1_80,
        "e1f97a0d3e018be0d64fa32c06de4139",
        "0ec675ad498afeebb6960b3aabe6",
        (rtp, "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"),
        (rtcp, "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"),
    );
}

#[test]
fn a_stream_continues_over_the_rollover() {
    for profile in PROFILES {
        let (inbound, outbound) = pair(profile);
        let mut stream = RtpStream::default();
        for index in 0xfff0..0x1_0010 {
            open(&inbound, &mut stream, &mut seal(&outbound, profile, index)).unwrap();
            assert_eq!(stream.last_opened(), index);
        }
    }
}

#[test]
fn packets_may_be_reordered_over_the_rollover() {
    for profile in PROFILES {
        let (inbound, outbound) = pair(profile);
        let mut stream = RtpStream::default();
        for index in [0xfffd, 0x1_0001, 0xffff, 0x1_0000, 0xfffe, 0x1_0002] {
            open(&inbound, &mut stream, &mut seal(&outbound, profile, index)).unwrap();
            assert_eq!(stream.last_opened(), index);
        }
    }
}

#[test]
fn a_packet_opens_once() {
    for profile in PROFILES {
        let (inbound, outbound) = pair(profile);
        let mut stream = RtpStream::default();
        let packet = seal(&outbound, profile, 9);
        open(&inbound, &mut stream, &mut packet.clone()).unwrap();

        let again = open(&inbound, &mut stream, &mut packet.clone());

        assert_eq!(again, Err(SrtpError::Replayed));
    }
}

#[test]
fn a_packet_older_than_the_window_is_refused() {
    let (inbound, outbound) = pair(Profile::AeadAes128Gcm);
    let mut stream = RtpStream::default();
    let mut try_open =
        |index| open(&inbound, &mut stream, &mut seal(&outbound, Profile::AeadAes128Gcm, index));
    try_open(2000).unwrap();

    assert!(try_open(2000 - 1023).is_ok());
    assert_eq!(try_open(2000 - 1024), Err(SrtpError::Replayed));
}

#[test]
fn a_changed_packet_is_refused_and_changes_nothing() {
    for profile in PROFILES {
        let (inbound, outbound) = pair(profile);
        let mut stream = RtpStream::default();
        open(&inbound, &mut stream, &mut seal(&outbound, profile, 20)).unwrap();
        let before = stream.clone();
        let packet = seal(&outbound, profile, 21);

        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x10;
            assert!(open(&inbound, &mut stream, &mut changed).is_err(), "{profile:?}, byte {at}");
            assert_eq!(stream, before);
        }

        assert!(open(&inbound, &mut stream, &mut packet.clone()).is_ok());
    }
}

#[test]
fn changed_rtcp_is_refused_and_changes_nothing() {
    for profile in PROFILES {
        let (mut inbound, mut outbound) = pair(profile);
        let packet = seal_rtcp(&mut outbound, profile, SSRC);

        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x10;
            assert!(inbound.unprotect_rtcp(&mut changed).is_err(), "{profile:?}, byte {at}");
        }

        assert!(inbound.unprotect_rtcp(&mut packet.clone()).is_ok());
    }
}

#[test]
fn rtcp_opens_once_per_sender() {
    for profile in PROFILES {
        let (mut inbound, mut outbound) = pair(profile);
        let first = seal_rtcp(&mut outbound, profile, 1);
        let second = seal_rtcp(&mut outbound, profile, 2);

        assert!(inbound.unprotect_rtcp(&mut second.clone()).is_ok());
        assert!(inbound.unprotect_rtcp(&mut first.clone()).is_ok());
        assert_eq!(inbound.unprotect_rtcp(&mut first.clone()), Err(SrtpError::Replayed));
        assert_eq!(inbound.unprotect_rtcp(&mut second.clone()), Err(SrtpError::Replayed));
    }
}

/// RFC 7714 §17.3: authentic, but not encrypted.
#[test]
fn unencrypted_rtcp_is_refused() {
    let (mut inbound, _) = pair(Profile::AeadAes128Gcm);
    let mut packet = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeef\
                          deadbeefdeadbeefdeadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
    );

    assert_eq!(inbound.unprotect_rtcp(&mut packet), Err(SrtpError::Malformed));
}

#[test]
fn no_rtcp_index_is_used_twice() {
    let profile = Profile::AeadAes128Gcm;
    let (mut inbound, mut outbound) = pair(profile);
    outbound.next_rtcp_index = RTCP_INDEX_MASK;

    let mut last = seal_rtcp(&mut outbound, profile, SSRC);
    let mut beyond = [report(SSRC), vec![0; profile.rtcp_overhead()]].concat();

    assert!(inbound.unprotect_rtcp(&mut last).is_ok());
    assert_eq!(outbound.protect_rtcp(&mut beyond), Err(KeyExhausted));
}

proptest! {
    #[test]
    fn any_packet_survives_the_journey(
        payload in prop::collection::vec(any::<u8>(), 0..1400),
        words in 0_usize..16,
        index in 0_u64..0x8000,
    ) {
        for profile in PROFILES {
            let (inbound, outbound) = pair(profile);
            let header_len = HEADER + 4 * words;
            let mut clear = plain(index)[..HEADER].to_vec();
            clear.resize(header_len, 0xc5);
            clear.extend(&payload);
            let mut packet = [clear.clone(), vec![0; profile.rtp_overhead()]].concat();

            outbound.protect_rtp(&mut packet, header_len, 0);
            prop_assert_eq!(&packet[..header_len], &clear[..header_len]);

            let opened = inbound.unprotect_rtp(&mut packet, header_len, &mut RtpStream::default());
            prop_assert_eq!(opened, Ok(clear.len()));
            prop_assert_eq!(&packet[..clear.len()], &clear[..]);
        }
    }

    #[test]
    fn no_bytes_can_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        header_len in 0_usize..120,
    ) {
        for profile in PROFILES {
            let (mut inbound, _) = pair(profile);
            let mut stream = RtpStream::default();
            prop_assert!(
                inbound.unprotect_rtp(&mut bytes.clone(), header_len, &mut stream).is_err()
            );
            prop_assert_eq!(stream, RtpStream::default());
            prop_assert!(inbound.unprotect_rtcp(&mut bytes.clone()).is_err());
        }
    }

    #[test]
    fn a_truncated_packet_is_refused(cut in 1_usize..100) {
        for profile in PROFILES {
            let (mut inbound, mut outbound) = pair(profile);
            let mut rtp = seal(&outbound, profile, 3);
            let mut rtcp = seal_rtcp(&mut outbound, profile, SSRC);
            rtp.truncate(rtp.len().saturating_sub(cut));
            rtcp.truncate(rtcp.len().saturating_sub(cut));

            prop_assert!(open(&inbound, &mut RtpStream::default(), &mut rtp).is_err());
            prop_assert!(inbound.unprotect_rtcp(&mut rtcp).is_err());
        }
    }
}

fn assert_sealed(profile: Profile, key: &str, salt: &str, rtp: (&str, &str), rtcp: (&str, &str)) {
    // Both directions with the same keys.
    let material = [hex(key), hex(key), hex(salt), hex(salt)].concat();
    let (mut inbound, mut outbound) = contexts(profile, &material, true).unwrap();
    outbound.next_rtcp_index = 1;

    let mut packet = [hex(rtp.0), vec![0; profile.rtp_overhead()]].concat();
    outbound.protect_rtp(&mut packet, HEADER, 0);
    assert_eq!(packet, hex(rtp.1));
    let opened = open(&inbound, &mut RtpStream::default(), &mut packet).unwrap();
    assert_eq!(packet[..opened], hex(rtp.0));

    let mut packet = [hex(rtcp.0), vec![0; profile.rtcp_overhead()]].concat();
    outbound.protect_rtcp(&mut packet).unwrap();
    assert_eq!(packet, hex(rtcp.1));
    let opened = inbound.unprotect_rtcp(&mut packet).unwrap();
    assert_eq!(packet[..opened], hex(rtcp.0));
}

/// The server's receiving context, and its client's sending context.
fn pair(profile: Profile) -> (Inbound, Outbound) {
    let material = material(profile);
    let (_, client) = contexts(profile, &material, true).unwrap();
    let (server, _) = contexts(profile, &material, false).unwrap();
    (server, client)
}

fn material(profile: Profile) -> Vec<u8> {
    (0..profile.keying_material_len() as u8).collect()
}

fn seal(outbound: &Outbound, profile: Profile, index: u64) -> Vec<u8> {
    let mut packet = [plain(index), vec![0; profile.rtp_overhead()]].concat();
    outbound.protect_rtp(&mut packet, HEADER, (index >> 16) as u32);
    packet
}

fn open(inbound: &Inbound, stream: &mut RtpStream, packet: &mut [u8]) -> Result<usize, SrtpError> {
    inbound.unprotect_rtp(packet, HEADER, stream)
}

fn seal_rtcp(outbound: &mut Outbound, profile: Profile, ssrc: u32) -> Vec<u8> {
    let mut packet = [report(ssrc), vec![0; profile.rtcp_overhead()]].concat();
    outbound.protect_rtcp(&mut packet).unwrap();
    packet
}

fn plain(index: u64) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend((index as u16).to_be_bytes());
    packet.extend(1234_u32.to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    packet.extend(b"What is sealed here is a frame of video.");
    packet
}

/// An empty receiver report, then an empty source description.
fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x80, 202, 0, 0]);
    packet
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
