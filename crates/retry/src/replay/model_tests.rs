//! Copies, dropped and made at any moment, against the plain model.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::{
    model::Model,
    script::{Hint, Script, Seen, Step, rest, script, see},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Do {
    Poll,
    DropCopy,
    Next,
    DropBackup,
}

fn steps(failures: bool) -> impl Strategy<Value = Vec<Step>> {
    let failures = u32::from(failures);
    let step = prop_oneof![
        6 => prop_oneof![4 => 0..6_usize, 2 => 1000..2000_usize].prop_map(Step::Data),
        2 => Just(Step::Pending),
        1 => Just(Step::Trailers),
        failures => Just(Step::Fail),
        failures => Just(Step::Panic),
    ];
    proptest::collection::vec(step, 0..9)
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let doing = prop_oneof![
        12 => Just(Do::Poll),
        3 => Just(Do::DropCopy),
        4 => Just(Do::Next),
        1 => Just(Do::DropBackup),
    ];
    proptest::collection::vec(doing, 0..60)
}

fn hints() -> impl Strategy<Value = Hint> {
    prop_oneof![Just(Hint::Exact), Just(Hint::Bounds), Just(Hint::Unknown)]
}

fn bounds() -> impl Strategy<Value = usize> {
    prop_oneof![0..20_usize, 1000..6000_usize, Just(1 << 20)]
}

fn poll(body: &mut ReplayBody<Script>) -> Seen {
    catch_unwind(AssertUnwindSafe(|| see(body))).unwrap_or(Seen::Panic)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// Frames, lengths, ends, what is kept and reserved, and when there is another copy: at every step
    /// that of the model.
    #[test]
    fn whatever_is_done_in_whatever_order_copies_are_the_models(
        steps in steps(true), doings in doings(), hint in hints(), honest: bool,
        max in bounds(), room in bounds(),
    ) {
        let mut model = Model::new(&steps, hint, honest, max, room);
        let original = script(steps).that_says(hint, honest);
        let ledger = original.ledger.clone();
        let allowance = Allowance::new(room);
        let (copy, backup) = ReplayBody::within(original, max, &allowance);
        let (mut copy, mut backup) = (Some(copy), Some(backup));
        for doing in doings {
            match doing {
                Do::Poll => prop_assert_eq!(copy.as_mut().map(poll), model.poll()),
                Do::DropCopy => {
                    copy = None;
                    model.drop_copy();
                }
                Do::Next => {
                    let next = backup.as_mut().map(Backup::next);
                    prop_assert_eq!(next.as_ref().map(Option::is_some), model.next());
                    copy = next.flatten().or(copy);
                }
                Do::DropBackup => {
                    backup = None;
                    model.drop_backup();
                }
            }
            prop_assert_eq!(backup.as_ref().map(Backup::is_lost), model.is_lost());
            prop_assert_eq!(copy.as_ref().map(Body::is_end_stream), model.is_end_stream());
            let hint = copy.as_ref().map(Body::size_hint);
            prop_assert_eq!(hint.map(|hint| (hint.lower(), hint.upper())), model.size_hint());
            prop_assert_eq!(allowance.in_use(), model.reserved());
            prop_assert_eq!(ledger.bytes(), model.shared());
            prop_assert!(ledger.bytes() <= max);
            prop_assert_eq!(ledger.bodies(), usize::from(model.original_is_there()));
        }
        if honest {
            drop(copy);
            drop(backup);
        } else {
            drop(backup);
            drop(copy);
        }
        prop_assert_eq!((allowance.in_use(), ledger.bytes(), ledger.bodies()), (0, 0, 0));
    }

    /// The whole arrives once more after any number of cuts, and what came before each cut was its begin.
    #[test]
    fn however_often_it_is_cut_the_last_copy_is_the_original(
        steps in steps(false), hint in hints(), cuts in proptest::collection::vec(0..12_usize, 0..6),
    ) {
        let frames = steps.iter().filter(|step| **step != Step::Pending).map(|step| Seen::Frame(*step));
        let expected: Vec<_> = frames.chain([Seen::End]).collect();
        let original = script(steps).that_says(hint, false);
        let said = original.size_hint();
        let (mut copy, mut backup) = ReplayBody::new(original, 1 << 20);
        for cut in cuts {
            let mut seen: Vec<_> = (0..cut).map(|_| see(&mut copy)).collect();
            seen.retain(|seen| *seen != Seen::Pending);
            seen.truncate(expected.len());
            prop_assert_eq!(&seen[..], &expected[..seen.len()]);
            drop(copy);
            copy = backup.next().unwrap();
            if said.exact().is_some() {
                prop_assert_eq!(copy.size_hint().exact(), said.exact());
            }
        }
        prop_assert_eq!(rest(&mut copy), expected);
    }
}
