use super::*;

/// gRFC A6: from `maxTokens` on, one less for each failure, retries while there is more than half.
#[test]
fn a_throttle_is_the_one_of_grpc() {
    let now = start();
    let allows = |budget: &Budget| budget.take(now).is_some();
    let budget = Budget::throttle(10, 0.1);
    fail(&budget, 4);
    assert!(is(budget.balance(), 6.0) && allows(&budget) && allows(&budget));
    fail(&budget, 1);
    assert!(!allows(&budget), "half is not more than half");
    budget.succeeded();
    assert!(is(budget.balance(), 5.1) && allows(&budget));
    fail(&budget, 100);
    assert!(is(budget.balance(), 0.0) && !allows(&budget));
    succeed(&budget, 50);
    assert!(!allows(&budget));
    succeed(&budget, 1);
    assert!(allows(&budget));
    succeed(&budget, 1000);
    assert!(is(budget.balance(), 10.0));
    let odd = Budget::throttle(3, 0.5);
    fail(&odd, 1);
    assert!(allows(&odd));
    fail(&odd, 1);
    succeed(&odd, 1);
    assert!(is(odd.balance(), 1.5) && !allows(&odd));
}

#[test]
fn a_throttle_retries_take_nothing_and_give_nothing_back() {
    let now = start();
    let budget = Budget::throttle(10, 0.1);
    fail(&budget, 1);
    let mut tokens: Vec<_> = (0..100).map(|_| budget.take(now).unwrap()).collect();
    tokens.iter_mut().step_by(2).for_each(Token::spend);
    drop(tokens);
    assert!(is(budget.balance(), 9.0));
}

#[test]
fn of_a_throttles_ratio_three_decimal_places_count() {
    for (ratio, tokens) in
        [(0.5466, 0.546), (1.001, 1.001), (0.0019, 0.001), (0.29, 0.29), (7.0, 7.0), (1e300, 9.0)]
    {
        let budget = Budget::throttle(9, ratio);
        fail(&budget, 9);
        budget.succeeded();
        assert!(is(budget.balance(), tokens), "{ratio} is {}", budget.balance());
    }
}

#[test]
fn a_throttle_that_has_a_floor_recovers_by_time() {
    let now = start();
    let budget = Budget::throttle(10, 0.1).floor(1);
    assert!(budget.take(now).is_some());
    fail(&budget, 10);
    assert!(budget.take(now + 5 * SECOND).is_none());
    assert!(budget.take(now + 6 * SECOND).is_some());
}
