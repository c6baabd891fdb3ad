//! How much chat is stored in a minute: of one account, of one room, and of the whole server.
//!
//! Each of them has a budget that is filled again evenly, so that a whole minute's chat may come at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::account::Account;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::token_bucket::TokenBucket;

/// What a message counts beyond its text, in bytes: its row has ids, names and times.
const ROW: usize = 200;
/// Most accounts with a budget of their own. Beyond that, idle accounts lose theirs; if none is idle, all further
/// accounts share one.
const MOST_ACCOUNTS: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// The budget of bytes for one room, one account or the server.
#[derive(Debug)]
pub(crate) struct Budget {
    /// 0: no limit.
    per_minute: usize,
    left: TokenBucket,
}

/// The budgets that all rooms share.
#[derive(Debug)]
pub(crate) struct ChatQuota {
    server: Budget,
    /// At most [`MOST_ACCOUNTS`], and one under `None` for all further accounts.
    accounts: HashMap<Option<Account>, Budget>,
    per_account: usize,
}

impl Budget {
    pub(crate) fn of_room(limits: &Limits, now: Instant) -> Budget {
        Budget::new(limits.room_chat_bytes_per_minute, now)
    }

    fn new(per_minute: usize, now: Instant) -> Budget {
        Budget { per_minute, left: TokenBucket::filling_in(MINUTE, per_minute as f64, now) }
    }

    /// How long until `bytes` can be taken; `None` if they can.
    fn delay(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        self.left.delay(bytes as f64, now)
    }

    /// Takes `bytes`. A message larger than the whole budget takes all of it.
    fn take(&mut self, bytes: usize) {
        self.left.spend(bytes.min(self.per_minute) as f64);
    }
}

impl ChatQuota {
    pub(crate) fn new(limits: &Limits, now: Instant) -> ChatQuota {
        ChatQuota {
            server: Budget::new(limits.chat_bytes_per_minute, now),
            accounts: HashMap::new(),
            per_account: limits.user_chat_bytes_per_minute,
        }
    }

    /// Counts a message of `text` bytes, in the budget of its room too.
    pub(crate) fn take(
        &mut self,
        account: &Account,
        room: &mut Budget,
        text: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        let bytes = text + ROW;
        let place = self.place(account, now);
        let per_account = self.per_account;
        let own = self.accounts.entry(place).or_insert_with(|| Budget::new(per_account, now));
        if let Some(delay) = own.delay(bytes, now) {
            return Err(Refusal::chat_of_user(per_account, delay));
        }
        if let Some(delay) = room.delay(bytes, now) {
            return Err(Refusal::chat_of_room(room.per_minute, delay));
        }
        if let Some(delay) = self.server.delay(bytes, now) {
            return Err(Refusal::chat_of_server(self.server.per_minute, delay));
        }
        [own, room, &mut self.server].into_iter().for_each(|budget| budget.take(bytes));
        Ok(())
    }

    /// The key of the budget that an account uses.
    fn place(&mut self, account: &Account, now: Instant) -> Option<Account> {
        let key = Some(account.clone());
        if self.accounts.len() < MOST_ACCOUNTS || self.accounts.contains_key(&key) {
            return key;
        }
        self.accounts.retain(|_, budget| !budget.left.is_full(now));
        key.filter(|_| self.accounts.len() < MOST_ACCOUNTS)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use std::net::IpAddr;

    use madang_wire::ErrorCode;

    use super::*;

    #[test]
    fn a_user_has_a_minutes_chat_at_once_and_then_its_rate() {
        let (mut world, now) = (World::new(1_000, 0, 0), Instant::now());

        let at_once = world.takes("가람", 50, now);
        let refused = world.take("가람", 50, now).unwrap_err();
        let later = world.takes("가람", 50, now + Duration::from_secs(15));

        assert_eq!((at_once, later), (4, 1));
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert!(refused.message.contains("limits.user_chat_bytes_per_minute"), "{refused:?}");
        assert!(refused.message.contains("in 15 seconds"), "{refused:?}");
        assert_eq!(world.takes("나래", 50, now), 4, "others have a budget of their own");
    }

    #[test]
    fn a_room_and_the_server_have_a_budget_for_all() {
        let now = Instant::now();
        let (mut room, mut server) = (World::new(0, 500, 0), World::new(0, 0, 500));

        let refused = [&mut room, &mut server].map(|world| {
            world.takes("가람", 50, now);
            world.take("나래", 50, now).unwrap_err()
        });

        let codes = refused.each_ref().map(|refusal| refusal.code);
        assert_eq!(codes, [ErrorCode::RateLimited, ErrorCode::Overloaded]);
        assert!(refused[0].message.contains("limits.room_chat_bytes_per_minute"), "{refused:?}");
        assert!(refused[1].message.contains("limits.chat_bytes_per_minute"), "{refused:?}");
    }

    #[test]
    fn a_message_larger_than_the_budget_needs_all_of_it() {
        let (mut world, now) = (World::new(1_000, 0, 0), Instant::now());

        assert_eq!(world.takes("가람", 5_000, now), 1);
        assert_eq!(world.takes("가람", 5_000, now + MINUTE), 1);
    }

    #[test]
    fn guests_of_an_address_share_and_the_table_has_a_bound() {
        let (mut world, now) = (World::new(1_000, 0, 0), Instant::now());
        let guest = |n: u32| Account::Guests(IpAddr::from(n.to_be_bytes()));

        for n in 0..20_000 {
            let taken = world.quota.take(&guest(n), &mut world.room, 0, now);
            assert_eq!(taken.is_ok(), n < 10_005, "{n}: {taken:?}");
        }
        let after = world.quota.take(&guest(20_000), &mut world.room, 0, now + MINUTE);

        assert!(after.is_ok());
        assert_eq!(world.quota.accounts.len(), 1);
    }

    struct World {
        quota: ChatQuota,
        room: Budget,
    }

    impl World {
        fn new(user: usize, room: usize, server: usize) -> World {
            let limits = Limits {
                user_chat_bytes_per_minute: user,
                room_chat_bytes_per_minute: room,
                chat_bytes_per_minute: server,
                ..Limits::default()
            };
            let now = Instant::now();
            World { quota: ChatQuota::new(&limits, now), room: Budget::of_room(&limits, now) }
        }

        fn take(&mut self, user: &str, text: usize, now: Instant) -> Result<(), Refusal> {
            self.quota.take(&Account::User(user.to_owned()), &mut self.room, text, now)
        }

        /// How many of ten messages are taken.
        fn takes(&mut self, user: &str, text: usize, now: Instant) -> usize {
            (0..10).filter(|_| self.take(user, text, now).is_ok()).count()
        }
    }
}
