//! REST: the API for programs that are not participants. `GET /api/openapi.json` describes it, made from the
//! handlers.
//!
//! ```text
//! request ─▶ admission::admit: origin, credential, quota ─▶ extract: path, query, body ─▶ handler ─┬─▶ store (reads)
//!                                                                                           └─▶ rooms (changes)
//! ```
//!
//! Only a room's task writes to its room, so every change goes to the task's mailbox, like a participant's request.
//! Reads go to the store. Every refusal, whichever part it comes from, is a problem (RFC 9457).

#![expect(unused_qualifications, reason = "`utoipa::path` generates qualified paths for `params`")]

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
pub(super) use self::access::bearer;
use self::problem::Problem;
use self::quota::Quota;
use super::http::Origins;
use crate::auth::{ApiKeys, Auth};
use crate::hub::Hub;
use crate::store::Store;
use crate::webhooks::Webhooks;

/// The services and settings that the API uses.
pub struct Config {
    /// The rooms and sessions.
    pub hub: Hub,
    /// The stored rooms, chat and moderation.
    pub store: Store,
    /// Verifies and mints tokens.
    pub auth: Auth,
    /// The keys whose holders may do everything.
    pub api_keys: ApiKeys,
    /// Knows the state of webhook calls.
    pub webhooks: Webhooks,
    /// The origins whose pages may send requests.
    pub origins: Origins,
    /// Maximum time for the body of a request to arrive.
    pub body_timeout: Duration,
    /// Cancelled when the server stops accepting work.
    pub draining: CancellationToken,
}

/// The state that the handlers share.
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
    /// Called once, when the server starts.
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

    /// Returns the caller to whom the credential belongs.
    async fn identify(&self, token: &str) -> Result<Caller, Problem> {
        if self.keys.accept(token) {
            return Ok(Caller::Operator);
        }
        // A token has two dots. A credential without a dot is a mistyped key, so the error does not call it a token.
        if !token.contains('.') {
            return Err(Problem::not_authenticated("this server does not have this API key"));
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

/// The routes below `/api`.
pub(crate) fn routes(api: Api) -> Router {
    let api = Arc::new(api);
    let (router, document) = described().split_for_parts();
    // Can't fail: the document consists of strings and of maps with text as keys.
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

/// The routes and their description, both from the attributes of the handlers.
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
        description = "Manages rooms, people, chat, moderation and tokens of a Madang server.\n\n\
            Send `Authorization: Bearer` with an API key or a token. An API key allows everything. A token allows in \
            its room what its user may do there as a participant. Errors are problems (RFC 9457) with a `code`. Times \
            are RFC 3339 in UTC. Fields may be added at any time; ignore unknown ones.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "rooms", description = "Rooms, their settings, lock and password"),
        (name = "people", description = "Participants, moderation, roles, bans"),
        (name = "messages", description = "The stored chat"),
        (name = "tokens", description = "Tokens (JWT) with which users connect"),
        (name = "server", description = "The state of the server and of its webhook calls"),
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
    servers((url = "/", description = "This server")),
)]
struct Document;

/// Describes how requests are authenticated.
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
        "there is nothing at this address; GET /api/openapi.json lists all addresses",
    )
}

async fn wrong_method() -> Problem {
    Problem::bad_request("this address does not support this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
