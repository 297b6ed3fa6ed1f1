//! What comes in is read, and what goes wrong is answered, always as a document of the API.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Request},
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use crate::api::types::{ApiError, ErrorCode, ErrorDoc};

/// A document, or why there is none.
pub(super) type Answer<T> = Result<Json<T>, Refusal>;

/// An error as it leaves.
pub(super) struct Refusal(ApiError);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(ErrorDoc::from(self.0))).into_response()
    }
}

/// A request's body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(invalid(rejection.body_text())),
        }
    }
}

/// A request's query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(invalid(rejection.body_text())),
        }
    }
}

fn invalid(message: String) -> Refusal {
    ApiError::new(ErrorCode::Invalid, message).into()
}

/// The answer where no route leads.
pub(super) async fn no_route(uri: Uri) -> Refusal {
    ApiError::new(ErrorCode::NotFound, format!("no route {}", uri.path()))
        .with_remedy("command line and agent should be of one version")
        .into()
}

/// The answer to a method that a route does not have.
pub(super) async fn no_method(method: Method, uri: Uri) -> Refusal {
    ApiError::new(ErrorCode::Invalid, format!("route {} has no {method}", uri.path())).into()
}
