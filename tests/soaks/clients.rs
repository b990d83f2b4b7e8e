use std::{
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceExt};

use super::{Broken, Dice, HOUR, SECOND, UPSTREAM, upstream::AS_PLANNED};

/// What is true after every exchange.
pub(crate) type Watch = Arc<dyn Fn() + Send + Sync>;

/// What clients have done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Calls of the service.
    called: AtomicU64,
    /// Exchanges that went to their end, or to an error.
    ended: AtomicU64,
    /// Those that were given up.
    given_up: AtomicU64,
}

/// How long a client waits.
#[derive(Clone, Copy)]
enum Patience {
    Endless,
    /// Until it is to wait so often: then it is gone at once.
    Awaits(u64),
    For(Duration),
    /// Until there is a future, which is not even polled.
    Call,
}

const CLIENTS: u64 = 16;

/// Many clients of one service.
pub(crate) struct Crowd<S> {
    service: S,
    seed: u64,
    upstreams: u64,
    watch: Watch,
    done: Arc<Done>,
}

impl<S, B> Crowd<S>
where
    S: Service<Request<()>, Response = Response<B>, Error = Broken, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    pub(crate) fn new(service: S, seed: u64, watch: Watch) -> Self {
        Self { service, seed, upstreams: 1, watch, done: Arc::default() }
    }

    /// Who ask so many.
    pub(crate) fn of_upstreams(self, upstreams: u64) -> Self {
        Self { upstreams, ..self }
    }

    /// Calls of the service, exchanges that ended and those that were given up.
    pub(crate) fn done(&self) -> (u64, u64, u64) {
        let Done { called, ended, given_up } = &*self.done;
        (called.load(SeqCst), ended.load(SeqCst), given_up.load(SeqCst))
    }

    /// Lets them all ask for an hour, and comes back when they are gone.
    pub(crate) async fn asks_for_an_hour(&self) {
        let clients = (0..CLIENTS).map(|client| {
            let mut dice = Dice::new(self.seed * 1000 + client);
            let (service, upstreams) = (self.service.clone(), self.upstreams);
            let (watch, done) = (Arc::clone(&self.watch), Arc::clone(&self.done));
            let until = Instant::now() + HOUR;
            tokio::spawn(async move {
                while Instant::now() < until {
                    let (request, patience) = (request(&mut dice, upstreams), patience(&mut dice));
                    let dawdles = dice.percent(20).then(|| dice.up_to(SECOND));
                    let done = Arc::clone(&done);
                    let asked = ask(service.clone(), request, patience, dawdles, done);
                    // In a task of its own, since it may panic.
                    if let Err(panicked) = tokio::spawn(asked).await {
                        let panicked = panicked.into_panic();
                        if panicked.downcast_ref() != Some(&AS_PLANNED) {
                            resume_unwind(panicked);
                        }
                    }
                    watch();
                    sleep(dice.up_to(2 * SECOND)).await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            let gone = timeout(HOUR + 600 * SECOND, client).await;
            gone.expect("nobody waits for ever").unwrap();
        }
    }

    /// Asks once a second and with all patience, until `enough`.
    pub(crate) async fn asks_until(&self, enough: impl Fn() -> bool) {
        let mut dice = Dice::new(self.seed);
        for _ in 0..300 {
            for upstream in 0..self.upstreams {
                let request = Request::get("/").header(UPSTREAM, upstream).body(()).unwrap();
                let (service, done) = (self.service.clone(), Arc::clone(&self.done));
                let asked = ask(service, request, Patience::Endless, None, done);
                timeout(600 * SECOND, asked).await.expect("nobody waits for ever");
            }
            if enough() {
                return;
            }
            sleep(SECOND + dice.up_to(SECOND)).await;
        }
        panic!("all is well, and still not all circuits are closed");
    }
}

fn request(dice: &mut Dice, upstreams: u64) -> Request<()> {
    let request = Request::get("/").header(UPSTREAM, dice.below(upstreams));
    let request =
        if dice.percent(50) { request.header("content-type", "application/grpc") } else { request };
    request.body(()).unwrap()
}

fn patience(dice: &mut Dice) -> Patience {
    match dice.below(8) {
        0 | 1 => Patience::Awaits(dice.below(6)),
        2 => Patience::For(dice.up_to(5 * SECOND)),
        3 if dice.percent(30) => Patience::Call,
        _ => Patience::Endless,
    }
}

/// One that dawdles does so between being told that the service is ready and calling it.
async fn ask<S, B>(
    service: S,
    request: Request<()>,
    patience: Patience,
    dawdles: Option<Duration>,
    done: Arc<Done>,
) where
    S: Service<Request<()>, Response = Response<B>, Error = Broken>,
    B: Body<Data = Bytes>,
{
    let unpolled = matches!(patience, Patience::Call);
    let exchange = async {
        let mut service = service;
        let ready = service.ready().await.unwrap_or_else(|_| panic!("it is ready in the end"));
        if let Some(time) = dawdles {
            sleep(time).await;
        }
        done.called.fetch_add(1, SeqCst);
        let answer = ready.call(request);
        if unpolled {
            return false;
        }
        let Ok(answer) = answer.await else { return true };
        let mut body = pin!(answer.into_body());
        while let Some(Ok(_)) = body.frame().await {}
        true
    };
    let ended = match patience {
        Patience::Endless | Patience::Call => exchange.await,
        Patience::Awaits(most) => awaits(most, exchange).await.unwrap_or(false),
        Patience::For(time) => timeout(time, exchange).await.unwrap_or(false),
    };
    let count = if ended { &done.ended } else { &done.given_up };
    count.fetch_add(1, SeqCst);
}

/// Drops the future when it is to wait once more than so often.
async fn awaits<F: Future>(most: u64, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), most);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
