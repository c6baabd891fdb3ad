//! Short-term credentials (RFC 8445 §5.3). The server's ufrags contain the number of the worker that has the peer. So a
//! connection to a port shared by all workers is handed to the right one by its first check, without a shared table.

use rand::RngExt;

use crate::keys::WorkerNumber;

const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The positions of the worker number's bits in the first ice-chars of the ufrag: 18 bits, more than there are ports.
const SHIFTS: [usize; 3] = [12, 6, 0];
/// Random ice-chars behind it, of 6 bits each: 48 bits, where RFC 8445 §5.3 asks for 24.
const RANDOM: usize = 8;
/// 144 bits, where it asks for 128.
const PASSWORD: usize = 24;

/// The credentials of one side.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    /// Random credentials of the server for a peer of this worker.
    pub(crate) fn random(rng: &mut impl RngExt, worker: WorkerNumber) -> Credentials {
        let number = SHIFTS.map(|shift| ice_char(worker >> shift & 63));
        let mut random = |length: usize| -> String {
            (0..length).map(|_| ice_char(rng.random_range(0..64))).collect()
        };
        let mut ufrag = String::from_iter(number);
        ufrag.push_str(&random(RANDOM));
        Credentials { ufrag, password: random(PASSWORD) }
    }
}

fn ice_char(bits: usize) -> char {
    char::from(ICE_CHARS[bits])
}

/// The worker number in a ufrag of the server. The caller checks whether there is such a worker.
pub(super) fn worker_of(ufrag: &str) -> Option<WorkerNumber> {
    let number = ufrag.as_bytes().get(..SHIFTS.len())?;
    number.iter().try_fold(0, |number, char| {
        let bits = ICE_CHARS.iter().position(|known| known == char)?;
        Some(number << 6 | bits)
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_ufrag_names_its_worker_and_is_otherwise_random() {
        let mut rng = StdRng::seed_from_u64(7);
        for worker in [0, 1, 63, 64, 255, 4096, 65_535] {
            let [a, b] = [0; 2].map(|_| Credentials::random(&mut rng, worker));

            assert_eq!([worker_of(&a.ufrag), worker_of(&b.ufrag)], [Some(worker); 2]);
            assert_ne!(a.ufrag, b.ufrag);
            assert_ne!(a.password, b.password);
            assert_eq!((a.ufrag.len(), a.password.len()), (11, 24));
            let is_ice_char = |char: u8| char.is_ascii_alphanumeric() || b"+/".contains(&char);
            assert!(a.ufrag.bytes().chain(a.password.bytes()).all(is_ice_char));
        }
    }

    #[test]
    fn foreign_ufrags_name_no_worker() {
        for ufrag in ["", "AA", "A-A12345678", "가나다라", "AA\u{e9}12345678"] {
            assert_eq!(worker_of(ufrag), None, "{ufrag}");
        }
    }
}
