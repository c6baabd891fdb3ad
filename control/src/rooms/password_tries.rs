//! Wrong passwords, counted by room and by whoever gives them.
//!
//! The rooms do not count them themselves: a room forgets what it knows when it closes, and a guesser would only have to
//! wait for that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use madang_wire::RoomName;

use super::account::Account;

/// Wrong passwords without a pause after them.
const FREE: u32 = 4;
/// The first pause; each further wrong password doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Time after the last wrong password and its pause until all are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Most entries. Beyond that, those who are not in a pause are forgotten. If all are, nobody else's password is checked
/// until a pause ends; filling the table in that way takes hours of nothing but password checks.
const MOST_ENTRIES: usize = 50_000;

/// The wrong passwords of all rooms.
#[derive(Debug, Default)]
pub(super) struct PasswordTries {
    entries: HashMap<(RoomName, Account), Tries>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    /// When the next password is checked.
    pause_until: Instant,
}

impl PasswordTries {
    /// How long until a password of this account for this room is checked; `None` if it is checked at once.
    pub(super) fn pause(
        &mut self,
        room: &RoomName,
        account: &Account,
        now: Instant,
    ) -> Option<Duration> {
        let key = (room.clone(), account.clone());
        if let Some(tries) = self.entries.get(&key) {
            return Some(tries.pause_until.saturating_duration_since(now))
                .filter(|pause| !pause.is_zero());
        }
        self.make_place(now);
        (self.entries.len() >= MOST_ENTRIES).then_some(FIRST_PAUSE)
    }

    /// Counts a wrong password. Returns the pause that begins with it.
    pub(super) fn count_wrong(
        &mut self,
        room: &RoomName,
        account: &Account,
        now: Instant,
    ) -> Option<Duration> {
        self.make_place(now);
        let key = (room.clone(), account.clone());
        let before = self.entries.get(&key).filter(|tries| !tries.is_forgotten(now));
        let wrong = before.map_or(0, |tries| tries.wrong).saturating_add(1);
        let pause = wrong
            .checked_sub(FREE + 1)
            .map(|doublings| FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE));
        let pause_until = now + pause.unwrap_or_default();
        if self.entries.len() < MOST_ENTRIES || before.is_some() {
            self.entries.insert(key, Tries { wrong, pause_until });
        }
        pause
    }

    fn make_place(&mut self, now: Instant) {
        if self.entries.len() >= MOST_ENTRIES {
            self.entries.retain(|_, tries| !tries.is_forgotten(now));
        }
        if self.entries.len() >= MOST_ENTRIES {
            self.entries.retain(|_, tries| tries.pause_until > now);
        }
    }
}

impl Tries {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.pause_until) >= FORGOTTEN_AFTER
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_each_wrong_password() {
        let (mut tries, mut now) = (PasswordTries::default(), Instant::now());
        let (room, guest) = (room("a"), guest(1));

        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                let pause = tries.count_wrong(&room, &guest, now);
                assert_eq!(tries.pause(&room, &guest, now), pause);
                now += pause.unwrap_or_default();
                assert_eq!(tries.pause(&room, &guest, now), None);
                pause.map_or(0, |pause| pause.as_secs() / 60)
            })
            .collect();

        assert_eq!(pauses, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60], "minutes");
    }

    #[test]
    fn other_people_and_other_rooms_are_not_concerned() {
        let (mut tries, now) = (PasswordTries::default(), Instant::now());
        for _ in 0..5 {
            tries.count_wrong(&room("a"), &guest(1), now);
        }
        let user = Account::User("하나".to_owned());

        assert!(tries.pause(&room("a"), &guest(1), now).is_some());
        assert_eq!(tries.pause(&room("b"), &guest(1), now), None);
        assert_eq!(tries.pause(&room("a"), &guest(2), now), None);
        assert_eq!(tries.pause(&room("a"), &user, now), None);
    }

    #[test]
    fn wrong_passwords_are_forgotten_after_an_hour() {
        let (mut tries, now) = (PasswordTries::default(), Instant::now());
        for _ in 0..5 {
            tries.count_wrong(&room("a"), &guest(1), now);
        }

        let later = now + FIRST_PAUSE + FORGOTTEN_AFTER;

        assert_eq!(tries.count_wrong(&room("a"), &guest(1), later), None);
    }

    #[test]
    fn the_table_has_a_bound_and_keeps_those_in_a_pause() {
        let (mut tries, now) = (PasswordTries::default(), Instant::now());
        for _ in 0..5 {
            tries.count_wrong(&room("a"), &guest(0), now);
        }

        for n in 1..=60_000 {
            tries.count_wrong(&room("a"), &guest(n), now);
        }

        assert!(tries.entries.len() <= MOST_ENTRIES);
        assert!(tries.pause(&room("a"), &guest(0), now).is_some());
    }

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn guest(n: u32) -> Account {
        Account::Guests(n.to_be_bytes().into())
    }
}
