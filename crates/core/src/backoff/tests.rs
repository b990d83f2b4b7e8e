use proptest::prelude::*;

use super::{Backoff, Duration, Jitter, Rng};

const SECOND: Duration = Duration::from_secs(1);
const KINDS: [Jitter; 5] =
    [Jitter::Full, Jitter::Equal, Jitter::Upward, Jitter::Decorrelated, Jitter::None];

/// The least and the most that there can be, in other words than the code's.
fn bounds(base: u128, max: u128, jitter: Jitter, attempt: u32) -> (u128, u128) {
    let base = base.min(max);
    let plain = (base << attempt.min(63)).min(max);
    let (least, most) = match jitter {
        Jitter::Full => (0, plain),
        Jitter::Equal => (plain.div_ceil(2), plain),
        Jitter::Upward => (plain.min((2 * max).div_ceil(3)), (plain * 3 / 2).min(max)),
        Jitter::Decorrelated => {
            (base, (base * 3_u128.pow(attempt.saturating_add(1).min(40))).min(max))
        }
        Jitter::None => (plain, plain),
    };
    (least, most)
}

#[test]
fn each_wait_is_twice_as_long_up_to_the_maximum() {
    let backoff = Backoff::new(SECOND, 10 * SECOND).with_jitter(Jitter::None);
    let waits: Vec<_> = backoff.delays(Rng::seeded(0)).take(6).collect();
    assert_eq!(waits, [1, 2, 4, 8, 10, 10].map(Duration::from_secs));
    assert_eq!(backoff.delay(u32::MAX, &mut Rng::seeded(0)), 10 * SECOND);
}

#[test]
fn a_base_over_the_maximum_is_the_maximum() {
    let backoff = Backoff::new(9 * SECOND, SECOND);
    assert_eq!((backoff.base(), backoff.max()), (SECOND, SECOND));
    assert_eq!(backoff, Backoff::new(SECOND, SECOND));
}

#[test]
fn a_constant_wait_is_always_the_same() {
    let waits = Backoff::constant(SECOND).delays(Rng::random());
    assert!(waits.take(100).all(|wait| wait == SECOND));
    assert_eq!(
        Backoff::constant(Duration::ZERO).delays(Rng::random()).next(),
        Some(Duration::ZERO)
    );
}

#[test]
fn a_seed_gives_the_same_waits_everywhere() {
    let waits = |seed| Backoff::new(SECOND, 60 * SECOND).delays(Rng::seeded(seed)).take(8);
    assert!(waits(7).eq(waits(7)));
    assert!(!waits(7).eq(waits(8)));
    // The generator's published first numbers for seed 1234567.
    let mut rng = Rng::seeded(1_234_567);
    assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
    assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
}

#[test]
fn two_random_sequences_differ() {
    assert_ne!(Rng::random().next_u64(), Rng::random().next_u64());
}

#[test]
fn jitter_reaches_all_of_its_range() {
    for jitter in KINDS {
        let (backoff, mut rng) = (Backoff::new(SECOND, 60 * SECOND), Rng::seeded(1));
        let backoff = backoff.with_jitter(jitter);
        let waits: Vec<_> = (0..2000).map(|_| backoff.delay(2, &mut rng).as_millis()).collect();
        let (least, most) = bounds(1_000_000_000, 60_000_000_000, jitter, 2);
        let (least, most) = (least / 1_000_000, most / 1_000_000);
        let near = (most - least) / 10;
        assert!(waits.iter().min().unwrap() - least <= near, "{jitter:?}");
        // Three times the longest after three times the longest is rare.
        let near = if jitter == Jitter::Decorrelated { 4 * near } else { near };
        assert!(most - waits.iter().max().unwrap() <= near, "{jitter:?}");
    }
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..10_u64).prop_map(Duration::from_nanos),
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_nanos),
        Just(Duration::MAX),
    ]
}

proptest! {
    #[test]
    fn no_wait_is_out_of_its_bounds(
        base in durations(),
        max in durations(),
        jitter in proptest::sample::select(&KINDS),
        attempt in prop_oneof![0..70_u32, any::<u32>()],
        seed: u64,
    ) {
        let backoff = Backoff::new(base, max).with_jitter(jitter);
        let [base, max] = [backoff.base(), backoff.max()].map(|time| time.as_nanos());
        let (least, most) = bounds(base, max, jitter, attempt);
        let delay = backoff.delay(attempt, &mut Rng::seeded(seed)).as_nanos();
        prop_assert!((least..=most).contains(&delay), "{least} {delay} {most}");
        prop_assert!(delay <= max);
    }

    #[test]
    fn waits_that_follow_from_one_another_are_in_their_bounds(
        base in durations(),
        max in durations(),
        jitter in proptest::sample::select(&KINDS),
        seed: u64,
    ) {
        let backoff = Backoff::new(base, max).with_jitter(jitter);
        let [base, max] = [backoff.base(), backoff.max()].map(|time| time.as_nanos());
        let mut previous = base;
        for (attempt, delay) in (0..100).zip(backoff.delays(Rng::seeded(seed))) {
            let delay = delay.as_nanos();
            let (least, most) = bounds(base, max, jitter, attempt);
            prop_assert!((least..=most).contains(&delay));
            prop_assert!(jitter != Jitter::Decorrelated || delay <= 3 * previous);
            previous = delay;
        }
    }

    /// With the same luck.
    #[test]
    fn a_higher_maximum_never_shortens_a_wait(
        base in durations(),
        [low, high] in [durations(), durations()],
        jitter in proptest::sample::select(&KINDS),
        attempt in 0..70_u32,
        seed: u64,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let delay = |max| {
            Backoff::new(base, max).with_jitter(jitter).delay(attempt, &mut Rng::seeded(seed))
        };
        prop_assert!(delay(low) <= delay(high));
    }
}
