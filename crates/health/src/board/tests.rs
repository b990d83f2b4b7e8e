use std::num::NonZeroU32;

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{clock::Clock, heart::Heart, standing::Standing, threshold::Threshold};

const SECOND: Duration = Duration::from_secs(1);

fn check(name: &str, probe: Probe, critical: bool) -> New {
    let threshold = Threshold::new(NonZeroU32::MIN, NonZeroU32::MIN);
    let source = Source::Check(Standing::new(threshold, 30 * SECOND));
    New { name: name.into(), probe, critical, source }
}

/// What the three probes are answered while one thing is registered and stands so.
#[test]
fn what_each_thing_does_to_each_probe() {
    use Status::{Fail, Pass, Unknown, Warn};
    let all = [Pass, Warn, Unknown, Fail];
    for (probe, critical, answers) in [
        (Probe::Liveness, true, all.map(|status| [status, status, Pass])),
        (Probe::Readiness, true, all.map(|status| [Pass, status, Pass])),
        (Probe::Readiness, false, all.map(|status| [Pass, status.min(Warn), Pass])),
        (Probe::Startup, true, all.map(|status| [Pass, status, status])),
    ] {
        for (status, expected) in all.into_iter().zip(answers) {
            let now = crate::clock::now();
            let mut board = Board::new();
            let (id, _) = board.put(check("it", probe, critical), now).unwrap();
            board.found(id, status.into(), now);
            let seen = board.look(now, false);
            assert_eq!(seen.statuses, expected, "{probe}, {critical}, {status}");
            let [liveness, _, startup] = expected;
            assert_eq!(board.look(now, true).statuses, [liveness, Fail, startup]);
            assert_eq!(board.look(now, false).statuses, expected);
        }
    }
}

#[test]
fn each_change_is_told_once() {
    let now = crate::clock::now();
    let mut board = Board::new();
    let (id, _) = board.put(check("db", Probe::Readiness, true), now).unwrap();
    let told = |seen: Seen| {
        let told = |change: Change| {
            let name = change.name.as_deref().unwrap_or("all").to_owned();
            (name, change.from, change.to, change.detail)
        };
        (seen.changes.into_iter().map(told).collect::<Vec<_>>(), seen.report.is_some())
    };
    let all = |from, to| ("all".to_owned(), from, to, None);
    let (changes, is_new) = told(board.look(now, false));
    assert_eq!((changes, is_new), (vec![all(Status::Pass, Status::Unknown)], true));
    assert_eq!(told(board.look(now, false)), (vec![], false));

    // Late enough for another line in the log.
    let now = now + 10 * SECOND;
    let refused = || Finding::from(Status::Fail).with_detail("refused");
    board.found(id, refused(), now);
    let db = ("db".to_owned(), Status::Unknown, Status::Fail, Some("refused".into()));
    let changes = vec![db, all(Status::Unknown, Status::Fail)];
    assert_eq!(told(board.look(now, false)), (changes, true));
    board.found(id, refused(), now);
    assert_eq!(told(board.look(now, false)), (vec![], false));
    // Another reason is in the report, and is no change.
    board.found(id, Finding::from(Status::Fail).with_detail("reset"), now);
    assert_eq!(told(board.look(now, false)), (vec![], true));
    assert_eq!(board.report().transitions(), 1);
}

#[test]
fn since_when_is_told_from_the_change_on() {
    let now = crate::clock::now();
    let mut board = Board::new();
    let (id, _) = board.put(check("db", Probe::Readiness, true), now).unwrap();
    board.found(id, ().into(), now + SECOND);
    board.look(now + SECOND, false);
    board.found(id, ().into(), now + 9 * SECOND);
    let item = board.look(now + 9 * SECOND, true).report.unwrap().items.remove(0);
    assert_eq!((item.since(), item.age(now + 9 * SECOND)), (now + SECOND, 8 * SECOND));
}

#[test]
fn a_start_is_not_taken_back() {
    let now = crate::clock::now();
    let mut board = Board::new();
    let (id, _) = board.put(check("schema", Probe::Startup, true), now).unwrap();
    assert!(board.found(id, Status::Fail.into(), now), "it is looked at again");
    board.look(now, false);
    assert!(!board.found(id, Status::Warn.into(), now), "it has passed");
    board.look(now, false);
    let seen = board.look(now + 1000 * SECOND, false);
    assert_eq!((seen.statuses, seen.until), ([Status::Pass, Status::Warn, Status::Warn], None));
    assert!(!board.found(7, ().into(), now), "nobody wants to know");
}

proptest! {
    /// What is said to hold until a moment holds until then: looked at before it, nothing has changed.
    #[test]
    fn what_is_seen_holds_for_as_long_as_is_told(
        hearts in proptest::collection::vec((1..20_u32, any::<bool>(), any::<bool>()), 0..4),
        events in proptest::collection::vec((0..8_u32, 0..6_usize, select(&[true, false][..])), 0..40),
    ) {
        let mut now = crate::clock::now();
        let clock = Clock::new(now);
        let mut board = Board::new();
        let (id, _) = board.put(check("db", Probe::Readiness, true), now).unwrap();
        let hearts: Vec<_> = hearts
            .into_iter()
            .map(|(allowed, always, critical)| {
                let heart = Arc::new(Heart::new(clock, allowed * SECOND, always, now));
                let source = Source::Heart(Arc::clone(&heart));
                let probe = Probe::Readiness;
                board.put(New { name: String::new(), probe, critical, source }, now).unwrap();
                heart
            })
            .collect();
        for (pause, which, good) in events {
            now += pause * SECOND;
            match hearts.get(which) {
                Some(heart) => heart.beat(good, now),
                None => drop(board.found(id, if good { Status::Pass } else { Status::Fail }.into(), now)),
            }
            let seen = board.look(now, false);
            let before = |until: Instant| until.checked_sub(Duration::from_nanos(1)).unwrap();
            let almost = seen.until.map_or(now + 9999 * SECOND, before);
            prop_assert!(almost >= now);
            let later = board.look(almost, false);
            prop_assert_eq!(later.statuses, seen.statuses);
            prop_assert!(later.changes.is_empty());
        }
    }
}
