//! `madang token`: makes a token from a shell.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use madang_wire::{Role, RoomName, Secret, SourceKind};

use crate::auth::{
    DestinationsClaim, LONGEST_TTL, Minter, NewToken, Scope, Verifier, signing_secret,
};
use crate::config::{duration, url_here};
use crate::{Settings, secrets};

/// The claims of the token.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Room that the token admits to; * for every room
    #[arg(short, long, value_parser = scope)]
    room: Scope,
    /// Display name, if the user does not choose one
    #[arg(short, long)]
    name: Option<String>,
    /// User id, the same for every token of a person [default: a new random id]
    #[arg(short, long)]
    user: Option<String>,
    /// host, speaker or listener [default: the role that the room assigns]
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Sources that the user may publish, as microphone,camera,screen [default: all that the role allows]
    #[arg(long, value_parser = source, value_delimiter = ',')]
    publish: Option<Vec<SourceKind>>,
    /// Whether the user may moderate [default: as the role allows]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    moderate: Option<bool>,
    /// Topics and queues outside rooms that the user may subscribe to, as /topic/shop/**,/queue/orders [default: all with
    /// a token for every room, else only /topic/chat/room/ROOM]
    #[arg(long, value_delimiter = ',')]
    subscribe: Vec<String>,
    /// Topics, queues and users' queues that the user may send to, with the same default
    #[arg(long, value_delimiter = ',')]
    send: Vec<String>,
    /// Time until the token expires, as 30m, 2h or 7d; at most ten years
    #[arg(long, default_value = "12h", value_parser = ttl)]
    ttl: Duration,
    /// Public URL of the server, for the printed page [default: the URL of `http.listen`]
    #[arg(long)]
    url: Option<String>,
}

/// A token, with notes for the operator.
pub struct Made {
    /// The JWT.
    pub token: Secret,
    /// Lines for standard error: the URL of the page that joins with the token, its expiry, and possible surprises.
    pub notes: Vec<String>,
}

impl TokenArgs {
    /// Makes the token, signed with the secret of a server with these settings.
    ///
    /// # Errors
    /// If the server has no signing secret, or would reject the token.
    pub fn make(self, settings: &Settings, now: Timestamp) -> anyhow::Result<Made> {
        let data_dir = &settings.data_dir;
        secrets::create_data_dir(data_dir).with_context(|| {
            format!("the data directory {} can't be created", data_dir.display())
        })?;
        let auth = &settings.auth;
        let Some(secret) = signing_secret(auth, data_dir)? else {
            bail!(
                "tokens come from your issuer, whose public keys are in `auth.jwks`; this server has no secret to sign \
                 with. Set `auth.secret` as well to let it make tokens itself"
            );
        };
        let url =
            self.url.clone().unwrap_or_else(|| url_here(&settings.http, settings.http.listen));
        let new = self.into_new();
        let minter = Minter::new(&secret, auth.issuer.clone(), auth.audience.clone());
        let minted = minter.mint(&new, now).map_err(anyhow::Error::msg)?;
        Verifier::new(Some(&secret), auth.issuer.clone(), auth.audience.clone())
            .verify(minted.token.expose(), now)
            .context("the server would reject this token")?;

        let mut notes = vec![page(&url, &new.scope, &minted.token)];
        notes.push(format!("The token expires at {}; its id is {}.", minted.expires_at, minted.id));
        if auth.secret.is_none() {
            let dir = data_dir.display();
            notes.push(format!("Only servers with the data directory {dir} accept it."));
        }
        if !auth.required {
            notes.push(
                "Guests can join without a token: `auth.required` is false in these settings."
                    .to_owned(),
            );
        }
        Ok(Made { token: minted.token, notes })
    }

    fn into_new(self) -> NewToken {
        let somebody = || format!("user-{:016x}", rand::random::<u64>());
        let claim = DestinationsClaim { subscribe: self.subscribe, send: self.send };
        NewToken {
            user: self.user.unwrap_or_else(somebody),
            name: self.name,
            scope: self.room,
            role: self.role,
            publish: self.publish,
            moderate: self.moderate,
            destinations: (claim != DestinationsClaim::default()).then_some(claim),
            ttl: self.ttl,
        }
    }
}

/// The URL of the page that joins with a token. Browsers do not send the text after `#`, so no log has the token.
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
        _ => Err("must be host, speaker or listener".to_owned()),
    }
}

fn source(text: &str) -> Result<SourceKind, String> {
    [SourceKind::Microphone, SourceKind::Camera, SourceKind::Screen]
        .into_iter()
        .find(|source| source.as_str() == text.trim())
        .ok_or_else(|| {
            "must be microphone, camera or screen, or several of them separated by commas"
                .to_owned()
        })
}

fn ttl(text: &str) -> Result<Duration, String> {
    let is_possible = |ttl: &Duration| (Duration::from_secs(1)..=LONGEST_TTL).contains(ttl);
    duration(text)
        .filter(is_possible)
        .ok_or_else(|| "must be a time, as 30m, 2h or 7d, of at most ten years".to_owned())
}
