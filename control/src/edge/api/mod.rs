//! REST: what programs ask that are no participants. Described by `GET /api/openapi.json`, which is made from the
//! handlers themselves.
//!
//! ```text
//! request ─▶ admission::admit: origin, credential, quota ─▶ extract: path, query, body ─▶ handler ─┬─▶ store (reads)
//!                                                                                           └─▶ rooms (changes)
//! ```
//!
//! A room's task is the one writer of its room, so whatever changes a room goes to its mailbox, as a participant's
//! request does; what is read comes from the store. Every refusal, of whatever part, is a problem of RFC 9457.

#![expect(unused_qualifications, reason = "what `utoipa::path` makes of `params` is qualified")]

mod access;
mod audit;
mod export;
mod extract;

mod admission;
mod link;
mod messages;
mod people;
mod problem;
mod quota;
mod rooms;
mod server;
mod tokens;
mod visitor;
mod webhooks;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::Caller;
use self::problem::Problem;
use self::quota::Quota;
use super::http::Origins;
use crate::auth::{ApiKeys, Auth};
use crate::hub::Hub;
use crate::store::Store;
use crate::webhooks::Webhooks;

/// What the API is given.
pub struct Config {
    /// Knows rooms and sessions.
    pub hub: Hub,
    /// What is remembered.
    pub store: Store,
    /// Tells whose a token is, and makes tokens.
    pub auth: Auth,
    /// Who holds one of these may do everything.
    pub api_keys: ApiKeys,
    /// How calls to other programs go.
    pub webhooks: Webhooks,
    /// Whose pages may ask.
    pub origins: Origins,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// Cancelled when the server takes no more work.
    pub draining: CancellationToken,
}

/// What the handlers share.
pub struct Api {
    hub: Hub,
    store: Store,
    auth: Auth,
    keys: ApiKeys,
    webhooks: Webhooks,
    origins: Origins,
    quota: Mutex<Quota>,
    exports: Arc<Semaphore>,
    body_timeout: Duration,
    started: Instant,
    draining: CancellationToken,
}

impl Api {
    /// Made once, when the server starts.
    pub fn new(config: Config) -> Api {
        let Config { hub, store, auth, api_keys, webhooks, origins, body_timeout, draining } =
            config;
        Api {
            hub,
            store,
            auth,
            keys: api_keys,
            webhooks,
            origins,
            quota: Mutex::default(),
            exports: Arc::new(Semaphore::new(export::AT_A_TIME)),
            body_timeout,
            started: admission::instant(),
            draining,
        }
    }

    /// Whose credential it is.
    async fn identify(&self, token: &str) -> Result<Caller, Problem> {
        if self.keys.accept(token) {
            return Ok(Caller::Operator);
        }
        // A token has two dots; what has none is a key with a slip in it, and should not be called a bad token.
        if !token.contains('.') {
            return Err(Problem::not_authenticated("this API key is not known here"));
        }
        let grant = self.auth.authenticate(token).await;
        let grant = grant.map_err(|error| Problem::not_authenticated(error.to_string()))?;
        Ok(Caller::User(Arc::new(grant)))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// Everything below `/api`.
pub(crate) fn routes(api: Api) -> Router {
    let api = Arc::new(api);
    let (router, document) = described().split_for_parts();
    // Made of strings and maps with text as keys.
    let document = Bytes::from(document.to_json().expect("the document can be written as JSON"));
    router
        .route("/api/openapi.json", get(async move || json(document.clone())))
        .method_not_allowed_fallback(wrong_method)
        .route("/api", any(nothing))
        .route("/api/", any(nothing))
        .route("/api/{*rest}", any(nothing))
        .layer(from_fn_with_state(Arc::clone(&api), admission::admit))
        .with_state(api)
}

/// The routes and their description, which are one.
fn described() -> OpenApiRouter<Arc<Api>> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::show, rooms::change, rooms::delete))
        .routes(routes!(people::participants))
        .routes(routes!(people::moderate))
        .routes(routes!(people::roles))
        .routes(routes!(people::set_role, people::clear_role))
        .routes(routes!(people::bans, people::ban))
        .routes(routes!(people::unban))
        .routes(routes!(messages::list))
        .routes(routes!(messages::search))
        .routes(routes!(messages::delete))
        .routes(routes!(export::export))
        .routes(routes!(audit::audit))
        .routes(routes!(tokens::mint))
        .routes(routes!(tokens::revoke))
        .routes(routes!(server::server))
        .routes(routes!(webhooks::webhooks));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", v1)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Madang",
        description = "Rooms, people, chat, moderation and tokens of a Madang server.\n\n\
            Requests carry `Authorization: Bearer` and an API key, which may do everything, or a token, which may do in its \
            room what it may do there as a participant. Errors are problems (RFC 9457) with a `code`. Times are RFC 3339 in \
            UTC. Fields may be added at any time.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "rooms", description = "Rooms, their settings, lock and password"),
        (name = "people", description = "Participants, moderation, roles, bans"),
        (name = "messages", description = "The stored chat"),
        (name = "tokens", description = "Tokens (JWT) by which users connect"),
        (name = "server", description = "The server itself"),
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
    servers((url = "/", description = "This server")),
)]
struct Document;

/// How requests are authenticated.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("an API key, or a token (JWT)"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    }
}

fn json(body: Bytes) -> ([(header::HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], body)
}

async fn nothing() -> Problem {
    Problem::not_found(
        "there is nothing at this address; GET /api/openapi.json tells what there is",
    )
}

async fn wrong_method() -> Problem {
    Problem::bad_request("this address does not take this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
