//! Where a request begins and ends. hyper takes some heads that can be read in two ways; here they are refused, and the
//! connection ends, so that what follows is never read as a request of its own.

use hyper::{
    Request, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING},
};

use super::{
    answer::{self, Answer},
    request::values,
};

/// The refusal of a request whose length is not clear, or that is none for this server; `None` for all others.
pub fn refusal<B>(request: &Request<B>) -> Option<Answer> {
    let (status, text) = objection(request)?;
    let mut answer = answer::plain_error(status, "invalid_request", text);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(answer)
}

fn objection<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    if request.uri().authority().is_some() {
        return Some((
            StatusCode::BAD_REQUEST,
            "this is no proxy: send the path alone, and the host in the Host header",
        ));
    }
    // hyper's own limit would cost each request a place for that many headers, set up anew.
    if request.headers().len() > MAX_HEADERS {
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "no request needs more than 32 headers"));
    }
    if values(request.headers(), &TRANSFER_ENCODING).next().is_some() {
        return Some((StatusCode::LENGTH_REQUIRED, "Transfer-Encoding is not taken: say Content-Length"));
    }
    let length =
        values(request.headers(), &CONTENT_LENGTH).next()?.to_str().ok().and_then(|length| length.parse::<u64>().ok());
    // hyper has refused what is no number.
    let too_long = length.is_none_or(|length| length > LONGEST_BODY);
    too_long.then_some((StatusCode::PAYLOAD_TOO_LARGE, "no request needs a body of more than 16 KiB"))
}

const MAX_HEADERS: usize = 32;
const LONGEST_BODY: u64 = 16 * 1024;
