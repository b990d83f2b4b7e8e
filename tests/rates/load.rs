//! Many at once, and for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use palisade_testkit::sockets::{Client, eventually};
use tokio::{task::JoinHandle, time::Instant};

use super::{Served, is_refusal, let_in, quota};

/// Clients that ask again as soon as they are answered, until they are told to stop.
struct Hammer {
    blows: Arc<Blows>,
    calls: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Blows {
    ended: AtomicBool,
    admitted: AtomicUsize,
    refused: AtomicUsize,
}

impl Blows {
    async fn strike(&self, client: Client) {
        while !self.ended.load(SeqCst) {
            let answer = client.read("/hello").await.unwrap();
            if answer.status() == 200 {
                self.admitted.fetch_add(1, SeqCst);
            } else {
                is_refusal(&answer);
                self.refused.fetch_add(1, SeqCst);
            }
        }
    }
}

impl Hammer {
    fn begin(clients: impl IntoIterator<Item = Client>) -> Self {
        let blows = Arc::new(Blows::default());
        let calls = clients.into_iter().map(|client| {
            let blows = Arc::clone(&blows);
            tokio::spawn(async move { blows.strike(client).await })
        });
        Self { calls: calls.collect(), blows }
    }

    fn refused(&self) -> usize {
        self.blows.refused.load(SeqCst)
    }

    /// Waits until so many more are answered.
    async fn goes_on(&self, count: usize) {
        let answered = || self.blows.admitted.load(SeqCst) + self.refused();
        let before = answered();
        eventually(|| answered() >= before + count).await;
    }

    /// How many were let in, and how many not.
    async fn end(self) -> (usize, usize) {
        self.blows.ended.store(true, SeqCst);
        for call in self.calls {
            call.await.unwrap();
        }
        (self.blows.admitted.load(SeqCst), self.blows.refused.load(SeqCst))
    }
}

/// From as many connections as they like.
pub(crate) async fn who_hammers_takes_nothing_from_others(served: Served) {
    const SHARE: usize = 50;
    served.buckets.set_quota(quota(&format!("{SHARE}/h")));
    let hammers = join_all((0..6).map(|_| served.client_from(66))).await;
    let hammer = Hammer::begin(hammers);
    eventually(|| hammer.refused() > 100).await;
    let well_behaved = served.client().await;
    for asked in 1..=SHARE {
        assert_eq!(let_in(&well_behaved, 1, &[]).await, 1, "{asked}");
        // There is somebody hammering all the time.
        hammer.goes_on(1).await;
    }
    let (admitted, refused) = hammer.end().await;
    assert_eq!(admitted, SHARE);
    assert!(refused > 100 + SHARE);
    assert_eq!((served.buckets.refused(), served.buckets.len()), (refused as u64, 2));
}

/// What is owed is kept as time. So in a time `t` no more are let in than the faster rate allows in `t`
/// and in the time that the slower bucket takes to fill.
pub(crate) async fn no_more_than_allowed_are_let_in_while_the_quota_changes(served: Served) {
    let quotas = [quota("40/s burst 20"), quota("10/s burst 10")];
    served.buckets.set_quota(quotas[0]);
    let clients = join_all((0..4).map(|_| served.client())).await;
    let begun = Instant::now();
    let hammer = Hammer::begin(clients);
    for turn in 0..50 {
        served.buckets.set_quota(quotas[turn % 2]);
        hammer.goes_on(20).await;
    }
    let (admitted, refused) = hammer.end().await;
    let time = begun.elapsed() + Duration::from_secs(1);
    let most = 1 + 40 * time.as_millis() / 1000;
    assert!(admitted as u128 <= most, "{admitted} in {time:?}");
    assert!(admitted >= 10 && refused > 0, "{admitted} and {refused}");
    assert_eq!(served.buckets.refused(), refused as u64);
}

/// The second is by the hour, and keeps its time in coarser ticks: a bucket is changed over, and not
/// doubled.
pub(crate) async fn no_bucket_is_doubled_by_a_quota_of_another_scale(served: Served) {
    let clients = join_all((0..4).map(|_| served.client())).await;
    let hammer = Hammer::begin(clients);
    for turn in 0..100 {
        served.buckets.set_quota(quota(["10/d", "10/h"][turn % 2]));
        hammer.goes_on(10).await;
    }
    let (admitted, _) = hammer.end().await;
    // Ten by the hour are an hour, and nine by the day fit into what is left of ten days' tenths.
    assert!((10..=19).contains(&admitted), "{admitted}");
    assert_eq!(served.buckets.len(), 1);
}
