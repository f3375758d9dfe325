//! Bodies of answers: whole, or piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The body of an answer.
pub enum Reply {
    /// Everything at once.
    Whole(Bytes),
    /// Piece by piece, with the number of bytes where it is known, and what is kept until it is over.
    Pieces(BoxStream<'static, Bytes>, Option<u64>, Held),
    /// As a backend sends it. One that breaks off breaks this answer off too: half a body never looks whole.
    Passed(Incoming, Held),
}

/// What is dropped when an answer is over: sent, or given up.
pub type Held = Option<Box<dyn std::any::Any + Send>>;

impl Body for Reply {
    type Data = Bytes;
    /// A backend's; what is made here never fails.
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Reply::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Reply::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Reply::Pieces(pieces, ..) => {
                Pin::new(pieces).poll_next(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
            Reply::Passed(body, _) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Whole(bytes) => bytes.is_empty(),
            Reply::Pieces(..) => false,
            Reply::Passed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Reply::Pieces(_, Some(length), _) => SizeHint::with_exact(*length),
            Reply::Pieces(_, None, _) => SizeHint::default(),
            Reply::Passed(body, _) => body.size_hint(),
        }
    }
}

impl Reply {
    /// How many bytes there are, where that is known before they are sent.
    pub fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Keeps something until everything was sent. What is there at once counts as sent.
    pub fn hold(&mut self, what: impl Send + 'static) {
        if let Reply::Pieces(_, _, held) | Reply::Passed(_, held) = self {
            *held = Some(Box::new((held.take(), what)));
        }
    }
}

/// An answer.
pub type Answered = Response<Reply>;

/// An answer of bytes.
pub fn whole(code: u16, media_type: &'static str, bytes: impl Into<Bytes>) -> Answered {
    let bytes = bytes.into();
    let mut response = Response::new(Reply::Whole(bytes));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer of text, as upstream's plain handlers give it.
pub fn text(code: u16, text: impl Into<String>) -> Answered {
    whole(code, "text/plain; charset=utf-8", text.into())
}

/// An answer piece by piece.
pub fn pieces(media_type: &'static str, pieces: BoxStream<'static, Bytes>, length: Option<u64>) -> Answered {
    let mut response = Response::new(Reply::Pieces(pieces, length, None));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
