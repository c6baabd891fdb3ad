//! `madang token`: makes a token from a shell.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use madang_wire::{Role, RoomName, Secret, SourceKind};

use crate::auth::{LONGEST_TTL, Minter, NewToken, Scope, Verifier, signing_secret};
use crate::config::{duration, url_here};
use crate::{Settings, secrets};

/// What the token is to say.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// The room that it opens; * is every room
    #[arg(short, long, value_parser = scope)]
    room: Scope,
    /// What others see, when the user does not choose a name
    #[arg(short, long)]
    name: Option<String>,
    /// Who it is, always the same for the same person [default: somebody new]
    #[arg(short, long)]
    user: Option<String>,
    /// host, speaker or listener [default: what the room has for its users]
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// What it lets publish, as microphone,camera,screen [default: all that the role may]
    #[arg(long, value_parser = source, value_delimiter = ',')]
    publish: Option<Vec<SourceKind>>,
    /// Whether it lets moderate [default: as the role]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    moderate: Option<bool>,
    /// How long it is good for, as 30m, 2h or 7d
    #[arg(long, default_value = "12h", value_parser = ttl)]
    ttl: Duration,
    /// Where people reach the server, for the address of the page [default: http://, and where it listens]
    #[arg(long)]
    url: Option<String>,
}

/// A token, and what to tell about it.
pub struct Made {
    /// The JWT.
    pub token: Secret,
    /// Lines for whoever made it: the page to open with it, and what may surprise.
    pub notes: Vec<String>,
}

impl TokenArgs {
    /// Makes the token, with the secret that a server with these settings has.
    ///
    /// # Errors
    /// When the server has no secret, or would not take the token.
    pub fn make(self, settings: &Settings, now: Timestamp) -> anyhow::Result<Made> {
        let data_dir = &settings.data_dir;
        secrets::create_data_dir(data_dir).with_context(|| {
            format!("the data directory {} can't be created", data_dir.display())
        })?;
        let auth = &settings.auth;
        let Some(secret) = signing_secret(auth, data_dir)? else {
            bail!(
                "tokens come from your issuer, whose public keys `auth.jwks` names; this server has no secret to sign \
                 with. Set `auth.secret` as well if it should make some itself"
            );
        };
        let url =
            self.url.clone().unwrap_or_else(|| url_here(&settings.http, settings.http.listen));
        let new = self.into_new();
        let minter = Minter::new(&secret, auth.issuer.clone(), auth.audience.clone());
        let minted = minter.mint(&new, now).map_err(anyhow::Error::msg)?;
        Verifier::new(Some(&secret), auth.issuer.clone(), auth.audience.clone())
            .verify(minted.token.expose(), now)
            .context("the server would not take such a token")?;

        let mut notes = vec![page(&url, &new.scope, &minted.token)];
        notes.push(format!("It ends at {}; its id is {}.", minted.expires_at, minted.id));
        if auth.secret.is_none() {
            let dir = data_dir.display();
            notes.push(format!("A server takes it whose data directory is {dir}."));
        }
        if !auth.required {
            notes.push(
                "Guests need none: authentication is off (`auth.required`) in these settings."
                    .to_owned(),
            );
        }
        Ok(Made { token: minted.token, notes })
    }

    fn into_new(self) -> NewToken {
        let somebody = || format!("user-{:016x}", rand::random::<u64>());
        NewToken {
            user: self.user.unwrap_or_else(somebody),
            name: self.name,
            scope: self.room,
            role: self.role,
            publish: self.publish,
            moderate: self.moderate,
            ttl: self.ttl,
        }
    }
}

/// The page that enters with a token. It stands behind the `#`, which browsers keep to themselves: no log has it.
fn page(url: &str, scope: &Scope, token: &Secret) -> String {
    let base = url.trim_end_matches('/');
    let path = match scope {
        Scope::Every => String::new(),
        Scope::One(room) => format!("rooms/{room}"),
    };
    format!("{base}/{path}#token={}", token.expose())
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "*" => Ok(Scope::Every),
        name => RoomName::parse(name).map(Scope::One).map_err(|error| error.to_string()),
    }
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "host" => Ok(Role::Host),
        "speaker" => Ok(Role::Speaker),
        "listener" => Ok(Role::Listener),
        _ => Err("it is host, speaker or listener".to_owned()),
    }
}

fn source(text: &str) -> Result<SourceKind, String> {
    [SourceKind::Microphone, SourceKind::Camera, SourceKind::Screen]
        .into_iter()
        .find(|source| source.as_str() == text.trim())
        .ok_or_else(|| "it is microphone, camera or screen, or several with commas".to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    let is_possible = |ttl: &Duration| (Duration::from_secs(1)..=LONGEST_TTL).contains(ttl);
    duration(text)
        .filter(is_possible)
        .ok_or_else(|| "it is a time as 30m, 2h or 7d, and ten years at most".to_owned())
}
