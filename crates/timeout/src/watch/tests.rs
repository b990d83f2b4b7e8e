use std::{
    future::{Future, poll_fn},
    task::Waker,
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::alarm::timer_operations;

const LIMIT: Duration = Duration::from_secs(10);

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn within() -> Watch {
    Watch::Within(Due::At(Instant::now() + LIMIT))
}

/// How often a timer is made or moved.
async fn operations(future: impl Future<Output = ()>) -> u32 {
    let before = timer_operations();
    future.await;
    timer_operations() - before
}

#[tokio::test(start_paused = true)]
async fn no_frame_costs_a_timer_operation() {
    let mut idle = Watch::Idle(LIMIT.into());
    let made = operations(async {
        assert!(idle.poll(&mut cx()).is_pending());
    });
    assert_eq!(made.await, 1);
    // A thousand frames within one limit, a wait before each.
    let frames = operations(async {
        for _ in 0..1000 {
            sleep(Duration::from_millis(9)).await;
            assert!(idle.poll_with_frame(&mut cx()).is_pending());
            assert!(idle.poll(&mut cx()).is_pending());
        }
    });
    assert_eq!(frames.await, 0);
    // The timer fires once each limit, whatever came.
    let limits = operations(async {
        for _ in 0..10_000 {
            sleep(Duration::from_millis(9)).await;
            assert!(idle.poll_with_frame(&mut cx()).is_pending());
            assert!(idle.poll(&mut cx()).is_pending());
        }
    });
    assert!((8..=10).contains(&limits.await), "nine times ten seconds");

    let mut within = within();
    let frames = operations(async {
        for _ in 0..1000 {
            assert!(within.poll_with_frame(&mut cx()).is_pending());
            assert!(within.poll(&mut cx()).is_pending());
        }
    });
    assert_eq!(frames.await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_one_frame_costs_no_timer_operation() {
    let frame = operations(async {
        let mut within = within();
        assert!(within.poll_with_frame(&mut cx()).is_pending());
    });
    assert_eq!(frame.await, 0);
}

#[tokio::test(start_paused = true)]
async fn silence_is_over_after_its_limit_exactly() {
    for heard_after in [0, 1, 5, 9] {
        let mut watch = Watch::Idle(LIMIT.into());
        assert!(watch.poll(&mut cx()).is_pending());
        advance(Duration::from_secs(heard_after)).await;
        assert!(watch.poll_with_frame(&mut cx()).is_pending());
        let began = Instant::now();
        poll_fn(|cx| watch.poll(cx)).await;
        assert_eq!(began.elapsed(), LIMIT, "{heard_after}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_clock_has_no_timer() {
    let made = operations(async {
        for mut watch in [Watch::Off, Watch::Idle(Nanos::FOREVER), Watch::Within(Due::Never)] {
            assert!(watch.poll(&mut cx()).is_pending());
        }
    });
    assert_eq!(made.await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_has_one_more_frame() {
    let mut watch = within();
    for _ in 0..5 {
        assert!(watch.poll_with_frame(&mut cx()).is_pending());
    }
    sleep(LIMIT).await;
    assert!(watch.poll_with_frame(&mut cx()).is_pending());
    assert!(watch.poll_with_frame(&mut cx()).is_ready());
    // Also if the time was up before there was a timer.
    let mut watch = within();
    sleep(2 * LIMIT).await;
    assert!(watch.poll_with_frame(&mut cx()).is_pending());
    assert!(watch.poll_with_frame(&mut cx()).is_pending());
    assert!(watch.poll_with_frame(&mut cx()).is_ready());
    assert!(watch.poll(&mut cx()).is_ready());
}
