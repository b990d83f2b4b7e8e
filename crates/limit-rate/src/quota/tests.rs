use proptest::prelude::*;

use super::*;

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

fn error(text: &str) -> String {
    text.parse::<Quota>().expect_err("no quota").to_string()
}

#[test]
fn text_is_read_as_it_is_meant() {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let cases = [
        ("100/s", Quota::per_second(n(100))),
        ("20/min", Quota::per_minute(n(20))),
        ("5000/h", Quota::per_hour(n(5000))),
        ("5000/h burst 200", Quota::new(n(5000), hour).with_burst(n(200))),
        ("3/250ms", Quota::new(n(3), second / 4)),
        ("1/d", Quota::new(n(1), 24 * hour)),
        (" 7 / 30d  burst  9 ", Quota::new(n(7), 720 * hour).with_burst(n(9))),
        ("1/366d", Quota::new(n(1), 366 * 24 * hour)),
        ("1/1ms", Quota::new(n(1), second / 1000)),
    ];
    for (text, quota) in cases {
        assert_eq!(text.parse(), Ok(quota), "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_what_can() {
    for text in [
        "",
        "/",
        "5",
        "5/",
        "/s",
        "0/s",
        "-1/s",
        "+1/s",
        "1.5/s",
        "5/fortnight",
        "5/s burst",
        "5/s burst 0",
        "5/s burst 5 6",
        "5/s 5",
        "5/s/s",
        "4294967296/s",
        "5/99999999999999999999s",
        "5/99999999999d",
        "5/s burst +5",
    ] {
        let error = error(text);
        assert!(error.starts_with(&format!("{text:?} is no quota")), "{error}");
        assert!(error.contains("5000/h burst 200"), "{error}");
    }
}

#[test]
fn what_is_out_of_bounds_is_named_with_its_bounds() {
    assert_eq!(
        error("5/367d"),
        "31708800s is no interval for a quota: it is between a millisecond and 366 days"
    );
    assert!(error("5/0s").starts_with("0ns is no interval"));
    assert!(error("5/999us").starts_with("999µs is no interval"));
    assert!(error("1/d burst 20000").starts_with("20000 is no burst for this quota"));
    assert_eq!("1/d burst 13000".parse::<Quota>().unwrap().burst(), n(13_000));
}

#[test]
fn a_quota_that_cannot_be_panics_where_it_is_written() {
    let panics = |quota: fn() -> Quota| std::panic::catch_unwind(quota).is_err();
    assert!(panics(|| Quota::new(NonZeroU32::MIN, Duration::ZERO)));
    assert!(panics(|| Quota::new(NonZeroU32::MIN, Duration::MAX)));
    assert!(panics(|| Quota::per_hour(NonZeroU32::MIN).with_burst(NonZeroU32::MAX)));
}

#[test]
fn the_burst_is_the_limit_unless_set() {
    assert_eq!(Quota::per_second(n(7)).burst(), n(7));
    assert_eq!(Quota::per_second(n(7)).with_burst(n(1)).burst(), n(1));
}

#[test]
fn the_finest_and_the_coarsest_fill_in_time() {
    for quota in [
        Quota::per_second(NonZeroU32::MAX),
        Quota::new(NonZeroU32::MAX, Duration::from_millis(1)),
        Quota::new(NonZeroU32::MAX, Duration::from_secs(366 * 86_400)),
        Quota::new(NonZeroU32::MIN, Duration::from_secs(366 * 86_400)),
    ] {
        assert!(quota.token_nanos() > 0);
        assert!(quota.fill_nanos() <= LONGEST_FILL);
        assert!(quota.fill_nanos() >= u64::try_from(quota.interval().as_nanos()).unwrap());
    }
}

proptest! {
    #[test]
    fn what_is_shown_can_be_read(limit: NonZeroU32, burst: NonZeroU32, nanos in 1_000_000..31_622_400_000_000_000_u64) {
        let quota = Quota::new(limit, Duration::from_nanos(nanos));
        prop_assert_eq!(quota.to_string().parse(), Ok(quota));
        if let Ok(quota) = quota.try_with_burst(burst) {
            prop_assert_eq!(quota.to_string().parse(), Ok(quota));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = text.parse::<Quota>();
    }
}
