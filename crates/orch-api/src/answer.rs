//! Answers: whole, or in parts as they come.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, WARNING};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use serde::Serialize;

/// The body of an answer.
///
/// That of a watch ends when the watch does: see [`ApiOptions::watch_timeout`](crate::ApiOptions::watch_timeout).
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    fn whole(bytes: Bytes) -> Self {
        Self(Inner::Whole((!bytes.is_empty()).then_some(bytes)))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Stream(stream) => stream
                .poll_next_unpin(cx)
                .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Inner::Stream(_) => SizeHint::default(),
        }
    }
}

/// What a request is answered with.
pub(crate) type Answer = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// JSON that is written already.
pub(crate) fn json(code: StatusCode, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Body::whole(bytes));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// A value as JSON.
pub(crate) fn value(code: StatusCode, value: &impl Serialize) -> Answer {
    // What is answered are maps with names as keys, which serde can always write.
    json(code, serde_json::to_vec(value).unwrap_or_default().into())
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Words alone.
pub(crate) fn text(code: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Body::whole(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer
}

/// What somebody wrote, as it comes.
pub(crate) fn written(stream: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let mut answer = Response::new(Body(Inner::Stream(stream.boxed())));
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer
}

/// JSON in lines, as they come.
pub(crate) fn lines(stream: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let mut answer = Response::new(Body(Inner::Stream(stream.boxed())));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// Characters of all warnings of an answer, and of each where that would be more.
const WARNED: usize = 4096;
const WARNED_EACH: usize = 256;

/// Adds what the writer should know, as Kubernetes does (`Warning: 299 - "..."`, RFC 9111 as it was: RFC 7234, 5.5).
///
/// Clients read no more than so much of headers: where it is more than [`WARNED`] in all, each is cut, and the last are left out, as
/// kube-apiserver does (`apiserver/pkg/endpoints/filters/warning.go`).
pub(crate) fn warn(answer: &mut Answer, warnings: &[String]) {
    let all: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let most = if all > WARNED { WARNED_EACH } else { WARNED };
    let mut room = WARNED;
    for warning in warnings {
        if room == 0 {
            break;
        }
        room = room.saturating_sub(warning.chars().take(most).count());
        let quoted: String = warning
            .chars()
            .take(most)
            // A header holds neither line breaks nor what is no ASCII.
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        if let Ok(header) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            answer.headers_mut().append(WARNING, header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(warnings: &[String]) -> Vec<String> {
        let mut answer = text(StatusCode::OK, "");
        warn(&mut answer, warnings);
        let headers = answer.headers().get_all(WARNING).iter();
        headers
            .map(|header| header.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn warnings_are_headers_of_so_many_characters_at_most() {
        assert_eq!(warned(&["a \"b\"\n\\é".to_owned()]), [r#"299 - "a \"b\" \\ ""#]);
        let whole = vec!["x".repeat(WARNED)];
        assert_eq!(warned(&whole)[0].len(), r#"299 - """#.len() + WARNED);
        let many = vec!["é".repeat(1000); 50];
        let found = warned(&many);
        assert_eq!(found.len(), WARNED / WARNED_EACH);
        assert!(
            found
                .iter()
                .all(|one| one.len() == r#"299 - """#.len() + WARNED_EACH)
        );
    }
}
