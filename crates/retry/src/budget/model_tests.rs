//! The budget held against a naive one, and against what must hold whatever the clock does.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::{
    model::{Kind, Model, Rule},
    *,
};

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
fn start() -> Instant {
    Instant::now()
}

#[derive(Clone, Debug)]
enum Event {
    Succeed(usize),
    Fail,
    Take,
    Spend(usize),
    Drop(usize),
    /// Milliseconds.
    Wait(u32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (1..15_usize).prop_map(Event::Succeed),
        2 => Just(Event::Fail),
        6 => Just(Event::Take),
        2 => any::<usize>().prop_map(Event::Spend),
        3 => any::<usize>().prop_map(Event::Drop),
        2 => (0..400_u32).prop_map(Event::Wait),
    ];
    vec(event, 0..150)
}

/// A throttle that has a floor takes for lost what flows in just before a failure, which a naive one does
/// not: it has none.
fn rules() -> impl Strategy<Value = Rule> {
    let kind = prop_oneof![
        4 => Just(Kind::Ratio),
        2 => Just(Kind::Throttle),
        1 => Just(Kind::Unlimited),
    ];
    let max_concurrent = prop_oneof![2 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    (kind, 1..12_u64, 0..8_u64, 1..=1000_u64, max_concurrent).prop_map(
        |(kind, burst, floor, deposit, max_concurrent)| Rule {
            kind,
            burst,
            floor: if kind == Kind::Ratio { floor } else { 0 },
            deposit,
            max_concurrent,
        },
    )
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "all are small")]
fn budget(rule: Rule) -> Budget {
    let share = rule.deposit as f64 / 1000.0;
    let budget = match rule.kind {
        Kind::Ratio => Budget::ratio(share).floor(rule.floor as u32).burst(rule.burst as u32),
        Kind::Throttle => Budget::throttle(rule.burst as u32, share),
        Kind::Unlimited => Budget::unlimited(),
    };
    match rule.max_concurrent {
        Some(most) => budget.max_concurrent(most as u32),
        None => budget,
    }
}

#[allow(clippy::cast_precision_loss, reason = "all are small")]
fn tokens(thousandths: u64) -> f64 {
    thousandths as f64 / 1000.0
}

proptest! {
    #[test]
    fn decides_and_counts_like_a_naive_one(rule in rules(), events in events()) {
        let (budget, mut model, mut now) = (budget(rule), Model::new(rule), start());
        let mut held: Vec<Token> = Vec::new();
        let (mut taken, mut refused) = (0, 0);
        for event in events {
            match event {
                Event::Succeed(times) => {
                    for _ in 0..times {
                        budget.succeeded();
                        model.succeeded();
                    }
                }
                Event::Fail => {
                    budget.failed();
                    model.failed();
                }
                Event::Take => {
                    let token = budget.take(now);
                    prop_assert_eq!(token.is_some(), model.take(), "{:?}", model);
                    *(if token.is_some() { &mut taken } else { &mut refused }) += 1;
                    let looked = rule.max_concurrent.is_none_or(|most| held.len() < most);
                    if rule.kind != Kind::Unlimited && looked {
                        let expected = tokens(model.thousandths);
                        prop_assert!((budget.balance() - expected).abs() < 1e-9, "{:?}", model);
                    }
                    held.extend(token);
                }
                Event::Spend(which) if !held.is_empty() => {
                    let which = which % held.len();
                    held[which].spend();
                    model.spend(which);
                }
                Event::Drop(which) if !held.is_empty() => {
                    let which = which % held.len();
                    drop(held.swap_remove(which));
                    model.drop(which);
                }
                Event::Wait(millis) => {
                    now += Duration::from_millis(millis.into());
                    model.waited(millis.into());
                }
                Event::Spend(_) | Event::Drop(_) => {}
            }
            prop_assert_eq!(budget.in_use() as usize, model.held.len());
            prop_assert_eq!((budget.taken(), budget.refused()), (taken, refused));
        }
        held.clear();
        prop_assert_eq!(budget.in_use(), 0);
    }

    #[test]
    fn whatever_the_clock_does_no_more_is_spent_than_was_earned(
        share in 1..=1000_u64,
        floor in 0..8_u64,
        burst in 0..12_u64,
        events in vec((events(), -2000..2000_i64), 1..8),
    ) {
        let rule = Rule { kind: Kind::Ratio, burst, floor, deposit: share, max_concurrent: None };
        let budget = budget(rule);
        let origin = start();
        // In milliseconds, with room to go back.
        let (mut now, mut first, mut last) = (1_000_000_u64, None, 0);
        let mut held: Vec<(Token, bool)> = Vec::new();
        let (mut successes, mut spent) = (0, 0);
        for (events, jump) in events {
            now = now.saturating_add_signed(jump);
            for event in events {
                match event {
                    Event::Succeed(times) => {
                        (0..times).for_each(|_| budget.succeeded());
                        successes += times as u64;
                    }
                    Event::Take => {
                        let at = origin + Duration::from_millis(now);
                        first.get_or_insert(now);
                        last = last.max(now);
                        held.extend(budget.take(at).map(|token| (token, false)));
                    }
                    Event::Spend(which) if !held.is_empty() => {
                        let which = which % held.len();
                        spent += u64::from(!held[which].1);
                        held[which].0.spend();
                        held[which].1 = true;
                    }
                    Event::Drop(which) if !held.is_empty() => {
                        drop(held.swap_remove(which % held.len()));
                    }
                    Event::Wait(millis) => now += u64::from(millis),
                    Event::Fail | Event::Spend(_) | Event::Drop(_) => {}
                }
                // Those that are held and not spent yet are out as well.
                let out = spent + held.iter().filter(|(_, spent)| !spent).count() as u64;
                let elapsed = last - first.unwrap_or(last);
                prop_assert!(1000 * out <= 1000 * burst + floor * elapsed + share * successes);
            }
        }
        held.clear();
        prop_assert_eq!(budget.in_use(), 0);
    }
}
