//! Hashing and checking the passwords of rooms.
//!
//! Argon2id is expensive in time and memory by design, so it runs on blocking threads, a few passwords at a time. When
//! too many passwords wait, the next one gets `overloaded`: mass guessing slows down the guesser rather than the rooms.

#![expect(clippy::disallowed_methods, reason = "the times of wrong passwords are taken here")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use madang_wire::{RoomName, Secret};
use rand::RngExt;
use tokio::sync::Semaphore;

use super::account::Account;
use super::password_tries::PasswordTries;
use crate::refusal::Refusal;

/// Passwords that are hashed or checked at a time; each takes 19 MiB.
const AT_A_TIME: usize = 2;
/// Most passwords in progress or waiting; one more is refused.
const MAX_WAITING: usize = 128;

/// Hashes and checks passwords. Clones share the bounds.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    tries: Arc<Mutex<PasswordTries>>,
}

/// The longest password, in bytes.
pub(crate) const MAX_BYTES: usize = 256;

/// A password was not processed because too many others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overloaded;

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords {
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            tries: Arc::default(),
        }
    }
}

impl Passwords {
    /// Checks a password that an account gives for a room against the room's hash, unless the account has to wait after
    /// wrong ones.
    pub(super) async fn verify(
        &self,
        room: RoomName,
        account: Account,
        password: Secret,
        hash: String,
    ) -> Verdict {
        // Whoever has to wait takes no place of others.
        if let Some(pause) = lock(&self.tries).pause(&room, &account, Instant::now()) {
            return Verdict::Paused(pause);
        }
        let tries = Arc::clone(&self.tries);
        // Asked again and counted while the check has its turn, so that a crowd of tries at once is one after the other.
        let check = move || {
            if let Some(pause) = lock(&tries).pause(&room, &account, Instant::now()) {
                return Verdict::Paused(pause);
            }
            if is_right(&password, &hash) {
                return Verdict::Right;
            }
            let pause = lock(&tries).count_wrong(&room, &account, Instant::now());
            Verdict::Wrong { pause }
        };
        self.work(check).await.unwrap_or(Verdict::Overloaded)
    }

    /// Hashes a password with a random salt; returns a PHC string.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Refusal> {
        if password.expose().is_empty() {
            return Err(Refusal::empty_password());
        }
        if password.expose().len() > MAX_BYTES {
            return Err(Refusal::too_long("the password", MAX_BYTES, "bytes"));
        }
        match self.work(move || hash(&password)).await {
            Ok(Some(hash)) => Ok(hash),
            Ok(None) => Err(Refusal::password_not_hashed()),
            Err(Overloaded) => Err(Refusal::too_many_passwords()),
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let _place = self.places.try_acquire().map_err(|_| Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Overloaded)?;
        // The permit moves into the work, which continues even if the caller stops waiting.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        // Fails when the runtime shuts down.
        working.await.map_err(|_| Overloaded)
    }
}

fn lock(tries: &Mutex<PasswordTries>) -> MutexGuard<'_, PasswordTries> {
    tries.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_right(password: &Secret, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
}

fn hash(password: &Secret) -> Option<String> {
    let random: [u8; 16] = rand::rng().random();
    let salt = SaltString::encode_b64(&random).ok()?;
    let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

/// The result of checking a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// With the pause until the next one is checked, if there is one.
    Wrong {
        pause: Option<Duration>,
    },
    /// Not checked, because so much of the pause after wrong ones is left.
    Paused(Duration),
    /// The server is checking too many passwords.
    Overloaded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let passwords = Passwords::default();
        let sesame = Secret::new("열려라 참깨");

        let hash = passwords.hash(sesame.clone()).await.unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(sesame.clone()).await.unwrap(), "each has its own salt");
        let wrong = Verdict::Wrong { pause: None };
        assert_eq!(passwords.check("열려라 참깨", &hash).await, Verdict::Right);
        assert_eq!(passwords.check("참깨", &hash).await, wrong);
        assert_eq!(passwords.check("참깨", "$garbage").await, wrong);
    }

    #[tokio::test]
    async fn a_crowd_of_guesses_at_once_is_counted_one_by_one() {
        let passwords = Passwords::default();

        let guesses = (0..100).map(|_| passwords.check("참깨", "$garbage"));
        let verdicts = futures_util::future::join_all(guesses).await;

        let checked = |verdict: &&Verdict| matches!(verdict, Verdict::Wrong { .. });
        let checked = verdicts.iter().filter(checked).count();
        assert!((5..=6).contains(&checked), "{checked}: one more may have its turn meanwhile");
        let _all = passwords.places.acquire_many(MAX_WAITING as u32).await.unwrap();
        assert!(matches!(passwords.check("참깨", "$garbage").await, Verdict::Paused(_)));
    }

    #[tokio::test]
    async fn too_many_at_a_time_are_refused() {
        let passwords = Passwords::default();
        let _all = passwords.places.acquire_many(MAX_WAITING as u32).await.unwrap();

        let verdict = passwords.check("a", "").await;

        assert_eq!(verdict, Verdict::Overloaded);
    }

    impl Passwords {
        async fn check(&self, password: &str, hash: &str) -> Verdict {
            let room = RoomName::parse("마당").unwrap();
            let account = Account::User("하나".to_owned());
            self.verify(room, account, Secret::new(password), hash.to_owned()).await
        }
    }
}
