use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_out_of_bounds_is_named_with_its_bounds() {
    let error = |trip: Result<Trip, InvalidTrip>| trip.expect_err("no trip").to_string();
    for share in [0.0, -0.5, 1.000_001, f64::NAN, f64::INFINITY] {
        let text = format!("{share} is no share of calls: it is above 0 and at most 1");
        assert_eq!(error(Trip::try_rate(share)), text);
        assert_eq!(error(Trip::try_slow(SECOND, share)), text);
    }
    assert_eq!(error(Trip::try_consecutive(0)), "0 failures open no circuit: at least 1 does");
    assert!(error(Trip::try_slow(Duration::ZERO, 1.0)).starts_with("0ns makes every call slow"));
    let rate = Trip::rate(1.0);
    assert!(error(rate.try_min(u32::MAX)).starts_with("4294967295 calls are too many"));
    assert!(error(rate.try_window(99 * SECOND / 1000)).contains("between 100ms and a day"));
    assert!(error(rate.try_window(86_401 * SECOND)).contains("between 100ms and a day"));
}

#[test]
fn what_is_in_bounds_is_what_the_panicking_twin_makes() {
    assert_eq!(Trip::try_rate(0.5), Ok(Trip::rate(0.5)));
    assert_eq!(Trip::try_consecutive(5), Ok(Trip::consecutive(5)));
    assert_eq!(Trip::try_slow(SECOND, 1.0), Ok(Trip::slow(SECOND, 1.0)));
    let rate = Trip::rate(1e-9);
    assert_eq!(rate.try_min(1 << 24), Ok(rate.min(1 << 24)));
    assert_eq!(rate.try_window(SECOND / 10), Ok(rate.window(SECOND / 10)));
    assert_eq!(rate.min(0), rate.min(1));
}

#[test]
fn a_trip_that_cannot_be_panics_where_it_is_written() {
    let panics = |trip: fn() -> Trip| std::panic::catch_unwind(trip).is_err();
    assert!(panics(|| Trip::rate(0.0)));
    assert!(panics(|| Trip::rate(1.1)));
    assert!(panics(|| Trip::consecutive(0)));
    assert!(panics(|| Trip::slow(Duration::ZERO, 0.5)));
    assert!(panics(|| Trip::slow(SECOND, 0.0)));
    assert!(panics(|| Trip::default().min(u32::MAX)));
    assert!(panics(|| Trip::default().window(Duration::ZERO)));
}

#[test]
fn of_two_of_a_kind_the_last_holds_and_of_two_windows_the_longer() {
    let one = Trip::rate(0.5).min(7).window(60 * SECOND);
    let two = Trip::slow(SECOND, 0.8).window(SECOND);
    for both in [one.or(two), two.or(one)] {
        assert_eq!((both.rate, both.slow), (one.rate, two.slow));
        assert_eq!(both.window_or_default(), 60 * SECOND);
    }
    assert_eq!(one.or(Trip::rate(0.1)).rate, Trip::rate(0.1).rate);
    assert_eq!(Trip::consecutive(1).or(Trip::consecutive(2)), Trip::consecutive(2));
    assert_eq!(Trip::consecutive(1).or(two).window_or_default(), SECOND);
    assert_eq!(two.or(Trip::consecutive(1)).window_or_default(), SECOND);
    assert_eq!(Trip::default().window_or_default(), 10 * SECOND);
    assert_eq!(one.or(two).min(9), one.min(9).or(two.min(9)));
}

/// As binary fractions, 0.1 · 30 is more than 3.
#[test]
fn a_share_is_reached_exactly() {
    for (share, calls, needed) in
        [(0.1, 30, 3), (0.7, 10, 7), (0.3, 10, 3), (1.0, 7, 7), (0.5, 5, 3)]
    {
        let share = Trip::rate(share).min(1).rate.unwrap();
        assert!(share.is_reached(needed, calls), "{share:?}");
        assert!(!share.is_reached(needed - 1, calls), "{share:?}");
    }
}
