use super::*;

/// One that is locked up for good is defect D2b.
#[test]
fn what_is_out_of_bounds_is_named_with_its_bounds() {
    let error = |probes: Result<Probes, InvalidProbes>| probes.expect_err("no probes").to_string();
    assert_eq!(error(Probes::try_new(0)), "0 calls cannot probe a circuit: 1 to 63 can");
    assert_eq!(error(Probes::try_new(64)), "64 calls cannot probe a circuit: 1 to 63 can");
    let three = Probes::new(3);
    assert_eq!(error(three.try_need(0)), "0 of 3 probes cannot succeed: 1 to 3 can");
    assert_eq!(error(three.try_need(4)), "4 of 3 probes cannot succeed: 1 to 3 can");
    assert_eq!(
        error(three.try_allowed(2)),
        "2 probes may not fail: at most 1 leave enough to succeed"
    );
    assert!(error(three.try_lease(Duration::ZERO)).starts_with("0ns is no lease"));
    assert!(error(three.try_lease(Duration::MAX)).contains("at most a day"));
}

#[test]
fn more_than_half_must_succeed_unless_said_otherwise() {
    for (probes, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (63, 32)] {
        let probes = Probes::new(probes);
        assert_eq!(
            (probes.needed(), probes.needed() + probes.failures_allowed()),
            (needed, probes.max())
        );
    }
    assert_eq!(Probes::new(5).need(2).failures_allowed(), 3);
    assert_eq!(
        Probes::new(5).need(2).allowed(0),
        Probes::new(5).try_need(2).unwrap().try_allowed(0).unwrap()
    );
}

#[test]
fn probes_that_cannot_be_panic_where_they_are_written() {
    let panics = |probes: fn() -> Probes| std::panic::catch_unwind(probes).is_err();
    assert!(panics(|| Probes::new(0)));
    assert!(panics(|| Probes::new(1).need(2)));
    assert!(panics(|| Probes::new(1).allowed(1)));
    assert!(panics(|| Probes::new(1).lease(Duration::ZERO)));
}
