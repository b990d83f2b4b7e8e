use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Buf;
use http::Response;
use http_body::Body;
use palisade_core::GrpcCode;
use tokio::time::{Sleep, sleep};

use crate::{
    Health, ServingStatus,
    answer::{grpc, grpc_error},
    body::Own,
    grpc::{Incoming, Malformed, TooMany, check_request, list_request, list_response, response},
    settings::Call,
    watches::Watches,
};

/// How long a message may take to arrive. Who never sends theirs would hold up a server that shuts down,
/// which waits for what is under way; and who probes has given up by then, as after a second Kubernetes does.
const PATIENCE: Duration = Duration::from_secs(10);

/// In so many frames a message may come, even empty ones: a body that is always ready is else never done with.
const MOST_FRAMES: u32 = 128;

/// A call of `grpc.health.v1.Health` whose message is being read.
pub(crate) struct Reading<B> {
    call: Call,
    health: Health,
    watches: Arc<Watches>,
    body: Pin<Box<B>>,
    incoming: Incoming,
    frames: u32,
    /// Made when the message is not there at once.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<B: Body> Reading<B> {
    pub(crate) fn new(call: Call, health: Health, watches: Arc<Watches>, body: B) -> Self {
        let (body, incoming) = (Box::pin(body), Incoming::new());
        Self { call, health, watches, body, incoming, frames: 0, patience: None }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Own>> {
        loop {
            let polled = self.body.as_mut().poll_frame(cx);
            if polled.is_pending() {
                let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                ready!(patience.as_mut().poll(cx));
                let late = "The request's message did not come in time.";
                return Poll::Ready(grpc_error(GrpcCode::DeadlineExceeded, late));
            }
            let Some(frame) = ready!(polled) else { break };
            let Ok(frame) = frame else {
                return Poll::Ready(malformed(Malformed::Truncated));
            };
            self.frames += 1;
            if self.frames > MOST_FRAMES {
                return Poll::Ready(malformed(Malformed::TooLong));
            }
            let Ok(mut data) = frame.into_data() else { continue };
            while data.has_remaining() {
                let part = data.chunk();
                let length = part.len();
                if let Err(error) = self.incoming.push(part) {
                    return Poll::Ready(malformed(error));
                }
                data.advance(length);
            }
        }
        let message = std::mem::take(&mut self.incoming).finish();
        Poll::Ready(message.and_then(|message| self.answer(&message)).unwrap_or_else(malformed))
    }

    fn answer(&self, message: &[u8]) -> Result<Response<Own>, Malformed> {
        let health = &self.health;
        Ok(match self.call {
            Call::Check => match health.serving(check_request(message)?) {
                // Only who watches is told that it is unknown by a status of that name.
                Some(status) if status != ServingStatus::ServiceUnknown => {
                    grpc(Own::Message(response(status)))
                }
                _ => grpc_error(GrpcCode::NotFound, "There is no such service."),
            },
            Call::Watch => {
                let service = check_request(message)?;
                match self.watches.open() {
                    Some(one) => {
                        let watch = Box::pin(health.watch_serving(service));
                        grpc(Own::Watch { watch, _one: one })
                    }
                    None => grpc_error(GrpcCode::ResourceExhausted, "Too many watch already."),
                }
            }
            Call::List => {
                list_request(message)?;
                match list_response(&health.services()) {
                    Ok(list) => grpc(Own::Message(list)),
                    Err(TooMany) => grpc_error(
                        GrpcCode::ResourceExhausted,
                        "There are more services than may be listed.",
                    ),
                }
            }
        })
    }
}

fn malformed(error: Malformed) -> Response<Own> {
    grpc_error(error.code(), &error.to_string())
}
