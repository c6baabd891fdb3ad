//! The error responses of the API (RFC 9457).

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use madang_wire::ErrorCode;
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::refusal::Refusal;
use crate::store::StoreError;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed (RFC 9457). `type` is always `about:blank`; `code` distinguishes problems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The name of the HTTP status.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// The problem, as a text for people.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The problem, for programs: a code of the control protocol, or `not_found` or `conflict`.
    #[schema(example = "no_such_room")]
    code: &'static str,
    /// Seconds after which the client should try again.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem with a code of the control protocol, and the status that belongs to it.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::with(status_of(code), code.as_str(), detail)
    }

    /// Not found: anything other than a room or participant.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::with(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The request conflicts with the present state, for example because a name is in use.
    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::with(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The request is malformed or has an invalid value.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(ErrorCode::BadRequest, detail)
    }

    /// The credential does not allow the request.
    pub(crate) fn not_allowed(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(ErrorCode::NotAllowed, detail)
    }

    /// There is no credential, or it is not accepted.
    pub(crate) fn not_authenticated(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(ErrorCode::NotAuthenticated, detail)
    }

    /// Replaces the status that belongs to the code.
    pub(crate) fn with_status(self, status: StatusCode) -> Problem {
        Problem { status: status.as_u16(), title: title_of(status), ..self }
    }

    /// Adds a `Retry-After` header.
    pub(crate) fn retry_after(self, seconds: u64) -> Problem {
        Problem { retry_after: Some(seconds), ..self }
    }

    fn with(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem {
            kind: "about:blank",
            title: title_of(status),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            retry_after: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"madang\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message }: Refusal) -> Problem {
        Problem::new(code, message)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Refused(reason) => Problem::conflict(reason),
            StoreError::Closed => Refusal::draining().into(),
            StoreError::Full => Refusal::disk_full().into(),
            error => {
                // Clients do not get the text of a database error: it may name tables and files.
                error.log("a REST request failed because of the store");
                Problem::new(ErrorCode::Internal, "the database failed")
            }
        }
    }
}

/// The problems that the OpenAPI document lists for every operation.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = || {
            let schema = Ref::from_schema_name("Problem");
            ContentBuilder::new().schema(Some(schema)).build()
        };
        let response = |description: &str| {
            let response =
                ResponseBuilder::new().description(description).content(MEDIA_TYPE, content());
            RefOr::T(response.build())
        };
        let described = [
            ("400", "The path, the query or the body is invalid"),
            ("401", "There is no credential, or it is not accepted"),
            ("403", "The credential does not allow the request"),
            ("404", "The room does not exist, or what the request names in it"),
            ("429", "Too many requests without a valid credential"),
            ("default", "Any other problem"),
        ];
        described.map(|(status, text)| (status.to_owned(), response(text))).into()
    }
}

fn title_of(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::BadSdp => StatusCode::BAD_REQUEST,
        ErrorCode::NotAuthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::NotAllowed | ErrorCode::WrongPassword => StatusCode::FORBIDDEN,
        ErrorCode::NoSuchRoom | ErrorCode::NoSuchParticipant => StatusCode::NOT_FOUND,
        ErrorCode::RoomFull | ErrorCode::RoomLocked | ErrorCode::Waiting => StatusCode::CONFLICT,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Overloaded | ErrorCode::Draining => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
