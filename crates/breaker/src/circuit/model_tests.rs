//! The circuit held against one that remembers every call, and against what must hold whatever the clock
//! does.

use palisade_core::{Backoff, Jitter};
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};

use super::{
    model::{Beneath, Model, Pass, Setting},
    tests::{MILLI, start},
    *,
};
use crate::{Probes, Readiness, Signal, Trip};

#[derive(Clone, Debug)]
enum Event {
    /// Milliseconds; back only where that is allowed.
    Time(i64),
    Admit,
    Record(usize, Signal),
    Abandon(usize),
    Lose(usize),
    Look,
    Mode(Mode),
    Reset,
}

const SIGNALS: [Signal; 4] = [Signal::Success, Signal::Failure, Signal::Throttled, Signal::Ignored];
const MODES: [Mode; 4] = [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed, Mode::ObserveOnly];

fn events(back: bool) -> impl Strategy<Value = Vec<Event>> {
    let least = if back { -20_000_i64 } else { 0 };
    let signal = prop_oneof![
        3 => Just(Signal::Success),
        4 => Just(Signal::Failure),
        1 => select(&SIGNALS),
    ];
    let event = prop_oneof![
        4 => (least / 50..400_i64).prop_map(Event::Time),
        2 => (least..40_000_i64).prop_map(Event::Time),
        9 => Just(Event::Admit),
        9 => (any::<usize>(), signal).prop_map(|(which, signal)| Event::Record(which, signal)),
        1 => any::<usize>().prop_map(Event::Abandon),
        1 => any::<usize>().prop_map(Event::Lose),
        1 => Just(Event::Look),
        1 => select(&MODES[..]).prop_map(Event::Mode),
        1 => prop_oneof![3 => Just(Event::Look), 1 => Just(Event::Reset)],
    ];
    proptest::collection::vec(event, 0..250)
}

fn settings() -> impl Strategy<Value = Setting> {
    let share = || proptest::option::of((select(&[10_u64, 50, 100]), 1..8_u64));
    let probes = (1..5_usize).prop_flat_map(|probes| (Just(probes), 1..=probes));
    let probes =
        probes.prop_flat_map(|(probes, need)| (Just(probes), Just(need), 0..=probes - need));
    (
        proptest::option::of(1..5_u32),
        (share(), share(), select(&[1_u64, 300, 5000])),
        select(&[100_u64, 1000, 10_000]),
        select(&[(1_u64, 1_u64), (500, 4000), (5000, 60_000)]),
        (probes, select(&[1_u64, 700, 30_000])),
        select(&[1_u64, 2000, 30_000]),
    )
        .prop_map(
            |(consecutive, (rate, slow, threshold), window, open, (probes, lease), decay)| {
                let (probes, need, allowed) = probes;
                Setting {
                    consecutive,
                    rate,
                    slow,
                    threshold,
                    window,
                    open,
                    probes,
                    need,
                    allowed,
                    lease,
                    decay,
                }
            },
        )
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn share((percent, min): (u64, u64), trip: impl Fn(f64) -> Trip) -> Trip {
    let number = |number| u32::try_from(number).expect("it is small");
    trip(f64::from(number(percent)) / 100.0).min(number(min))
}

fn policy(setting: Setting) -> Policy {
    // One that never trips, for where there is no other.
    let mut trip = Trip::consecutive(setting.consecutive.unwrap_or(u32::MAX));
    if let Some(rate) = setting.rate {
        trip = trip.or(share(rate, Trip::rate));
    }
    if let Some(slow) = setting.slow {
        trip = trip.or(share(slow, |share| Trip::slow(millis(setting.threshold), share)));
    }
    let (base, max) = setting.open;
    let count = |count: usize| u32::try_from(count).expect("it is small");
    let probes = Probes::new(count(setting.probes)).need(count(setting.need));
    Policy::new(trip.window(millis(setting.window)))
        .with_open(Backoff::new(millis(base), millis(max)).with_jitter(Jitter::None))
        .with_probes(probes.allowed(count(setting.allowed)).lease(millis(setting.lease)))
        .with_decay(millis(setting.decay))
}

fn same(circuit: &Circuit, model: &Model, begin: Instant, now: u64) -> Result<(), TestCaseError> {
    let at = begin + millis(now);
    let (stats, [calls, failures, slow]) = (circuit.stats(at), model.window(now));
    prop_assert_eq!((stats.state, stats.mode), (model.state(now), model.mode));
    prop_assert_eq!((stats.calls, stats.failures, stats.slow), (calls, failures, slow));
    prop_assert_eq!(stats.consecutive, model.consecutive);
    let out = if let Beneath::HalfOpen { out, .. } = model.beneath { out } else { 0 };
    prop_assert_eq!(stats.probes_in_flight as usize, out);
    let retry_after = match model.beneath {
        Beneath::Open { until } if !matches!(model.mode, Mode::ForcedOpen | Mode::ForcedClosed) => {
            until.checked_sub(now).filter(|left| *left > 0).map(millis)
        }
        _ => None,
    };
    prop_assert_eq!(stats.retry_after, retry_after);
    prop_assert_eq!((stats.ignored, stats.late), (model.ignored, model.late));
    prop_assert_eq!((stats.refused, stats.observed), (model.refused, model.observed));
    prop_assert_eq!((stats.total_calls, stats.total_failures), (model.calls, model.failures));
    prop_assert_eq!(stats.opened, model.opened);
    prop_assert_eq!(circuit.word().generation(), model.era);
    let newest = model.log.len().saturating_sub(32);
    let seen = circuit.transitions(0);
    prop_assert!(
        seen.iter().map(|seen| seen.sequence).eq(newest as u64 + 1..=model.log.len() as u64)
    );
    let seen = seen.into_iter().map(|seen| (seen.from, seen.to, seen.mode, seen.cause));
    prop_assert!(seen.eq(model.log[newest..].iter().copied()));
    Ok(())
}

fn same_pass(ticket: &Ticket, pass: Pass) -> bool {
    match pass {
        Pass::Counted { era, .. } => ticket.role() == Role::Counted && ticket.generation() == era,
        Pass::Probe { era, .. } => ticket.is_probe() && ticket.generation() == era,
        Pass::Observed => ticket.role() == Role::Observed,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 512 } else { 8192 }))]

    /// The clock goes on or stands still.
    #[test]
    fn decides_and_tells_like_one_that_remembers_every_call(
        setting in settings(),
        events in events(false),
    ) {
        let (begin, mut now) = (start(), 0_u64);
        let circuit = Circuit::seeded(policy(setting), begin, 1);
        let (mut model, mut out) = (Model::new(setting), Vec::new());
        for event in events {
            let at = begin + millis(now);
            match event {
                Event::Time(later) => now += later.unsigned_abs(),
                Event::Admit => match (circuit.admit(at), model.admit(now)) {
                    (Ok(ticket), Ok(pass)) => {
                        prop_assert!(same_pass(&ticket, pass), "{:?} {:?}", ticket, pass);
                        out.push((ticket, pass));
                    }
                    (Err(refused), Err(retry_after)) => {
                        prop_assert_eq!(refused.retry_after(), retry_after.map(millis));
                        prop_assert_eq!(refused.state(), model.state(now));
                    }
                    (ours, models) => prop_assert!(false, "{:?} {:?}", ours, models),
                },
                Event::Record(which, signal) if !out.is_empty() => {
                    let (ticket, pass) = out.swap_remove(which % out.len());
                    circuit.record(ticket, signal, at);
                    model.record(pass, signal, now);
                }
                Event::Abandon(which) if !out.is_empty() => {
                    let (ticket, pass) = out.swap_remove(which % out.len());
                    circuit.abandon(ticket, at);
                    model.abandon(pass, now);
                }
                Event::Lose(which) if !out.is_empty() => _ = out.swap_remove(which % out.len()),
                Event::Look => {
                    let ready = circuit.readiness(at);
                    if model.mode == Mode::Automatic {
                        model.settle(now);
                    }
                    let admitted = policy(setting).probes().max() as usize;
                    let expected = match (model.mode, model.beneath) {
                        (Mode::ForcedOpen, _) => Readiness::Forced,
                        (Mode::Automatic, Beneath::Open { until }) if now < until => {
                            Readiness::After(begin + millis(until))
                        }
                        (Mode::Automatic, Beneath::HalfOpen { passed, failed, out, lease_until })
                            if passed + failed + out == admitted =>
                        {
                            Readiness::ProbesBusy(begin + millis(lease_until))
                        }
                        _ => Readiness::Ready,
                    };
                    prop_assert_eq!(ready, expected);
                }
                Event::Mode(mode) => {
                    circuit.set_mode(mode, at);
                    model.set_mode(mode, now);
                }
                Event::Reset => {
                    circuit.reset(at);
                    model.reset(now);
                }
                Event::Record(..) | Event::Abandon(_) | Event::Lose(_) => {}
            }
            same(&circuit, &model, begin, now)?;
        }
    }

    /// The clock jumps either way.
    #[test]
    fn whatever_the_clock_does_the_books_balance(setting in settings(), events in events(true)) {
        let (begin, mut now) = (start(), start());
        let circuit = Circuit::seeded(policy(setting), begin, 1);
        let (mut out, mut generation, mut sequence) = (Vec::new(), 0, 0);
        let (mut probes, mut recorded, mut refused) = (0, 0, 0);
        for event in events {
            match event {
                Event::Time(later) => {
                    let by = u32::try_from(later.unsigned_abs()).unwrap() * MILLI;
                    now = if later < 0 { now.checked_sub(by).unwrap() } else { now + by };
                }
                Event::Admit => match circuit.admit(now) {
                    Ok(ticket) => {
                        probes += u64::from(ticket.is_probe());
                        out.push(ticket);
                    }
                    Err(_) => refused += 1,
                },
                Event::Record(which, signal) if !out.is_empty() => {
                    let ticket = out.swap_remove(which % out.len());
                    recorded += u64::from(ticket.role() != Role::Observed);
                    circuit.record(ticket, signal, now);
                }
                Event::Abandon(which) if !out.is_empty() => {
                    let ticket = out.swap_remove(which % out.len());
                    recorded += u64::from(ticket.role() != Role::Observed);
                    circuit.abandon(ticket, now);
                }
                Event::Lose(which) if !out.is_empty() => _ = out.swap_remove(which % out.len()),
                Event::Look => _ = circuit.readiness(now),
                Event::Mode(mode) => circuit.set_mode(mode, now),
                Event::Reset => circuit.reset(now),
                Event::Record(..) | Event::Abandon(_) | Event::Lose(_) => {}
            }
            let (stats, word) = (circuit.stats(now), circuit.word());
            prop_assert!(u32::from(word.issued()) <= circuit.policy().probes().max());
            prop_assert!(word.passed() + word.failed() <= word.issued());
            prop_assert!(word.state() == State::HalfOpen || word.issued() == 0);
            prop_assert!(word.generation() >= generation);
            generation = word.generation();
            let seen = circuit.transitions(sequence);
            prop_assert!(seen.iter().map(|seen| seen.sequence).eq(sequence + 1..=sequence + seen.len() as u64));
            sequence += seen.len() as u64;
            prop_assert!(stats.failures <= stats.calls && stats.slow <= stats.calls);
            prop_assert!(stats.calls <= stats.total_calls && stats.total_failures <= stats.total_calls);
            prop_assert_eq!(stats.refused, refused);
            // Each outcome is in one place; those of expired probes are there beforehand.
            let told = stats.total_calls + stats.ignored + stats.late;
            prop_assert!((recorded..=recorded + probes).contains(&told));
        }
        // It always recovers: no probe is lost for good, and no deadline is further than it may be.
        circuit.set_mode(Mode::Automatic, now);
        now += 3600 * 24 * 1000 * MILLI;
        for _ in 0..100 {
            if circuit.state(now) == State::Closed {
                break;
            }
            match circuit.admit(now) {
                Ok(ticket) => circuit.record(ticket, Signal::Success, now),
                Err(refused) => now += refused.retry_after().unwrap(),
            }
        }
        prop_assert_eq!(circuit.state(now), State::Closed);
    }
}
