//! Rounds, and what is believed of them.

use std::time::Duration;

use crate::drive::Sample;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// About how long a row is driven in a round.
    pub(crate) slice: Duration,
}

/// Nanoseconds per call, in each round.
pub(crate) type Times = Vec<f64>;

/// Visits all rows once in each round, beginning with another one each time, so that what disturbs
/// the machine for a while disturbs neighbours alike. Neighbours stay neighbours.
#[allow(clippy::cast_precision_loss, reason = "a round is far shorter than 2^52 ns")]
pub(crate) fn rounds(samples: &mut [Sample], plan: Plan) -> Vec<Times> {
    let calls: Vec<_> = samples.iter_mut().map(|sample| calls_in(plan.slice, sample)).collect();
    let rows = samples.len();
    let mut times = vec![Times::with_capacity(plan.rounds); rows];
    for round in 0..plan.rounds {
        for row in (0..rows).map(|nth| (round + nth) % rows) {
            let elapsed = samples[row](calls[row]);
            let failed = elapsed == Duration::MAX;
            let time = elapsed.as_nanos() as f64 / calls[row] as f64;
            times[row].push(if failed { f64::NAN } else { time });
        }
    }
    times
}

/// How many calls take about this long. Also what warms the row up.
fn calls_in(slice: Duration, sample: &mut Sample) -> u64 {
    let mut calls = 16;
    loop {
        let elapsed = sample(calls);
        if elapsed >= slice / 2 {
            if elapsed == Duration::MAX {
                return calls;
            }
            let wanted = u128::from(calls) * slice.as_nanos() / elapsed.as_nanos();
            return u64::try_from(wanted).unwrap_or(calls).max(1);
        }
        calls *= 2;
    }
}

/// The middle of what was seen, and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(seen: impl IntoIterator<Item = f64>) -> Self {
        // Where a round failed there is no number.
        let mut seen: Vec<_> = seen.into_iter().filter(|seen| !seen.is_nan()).collect();
        if seen.is_empty() {
            return Self { low: f64::NAN, median: f64::NAN, high: f64::NAN };
        }
        seen.sort_by(f64::total_cmp);
        let at = |quarter: usize| seen[(seen.len() - 1) * quarter / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }

    /// Of what is one over what was seen.
    pub(crate) fn inverse(self) -> Self {
        Self { low: 1.0 / self.high, median: 1.0 / self.median, high: 1.0 / self.low }
    }

    /// The distance between the quartiles, in percent of the median.
    pub(crate) fn percent(self) -> f64 {
        (self.high - self.low) / self.median * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_does_not_move_with_one_disturbed_round() {
        let quiet = Spread::of([3.0, 1.0, 2.0, 5.0, 4.0]);
        let disturbed = Spread::of([3.0, 1.0, 2.0, 5000.0, 4.0]);
        assert_eq!(
            [quiet.low, quiet.median, quiet.high].map(f64::to_bits),
            [2.0, 3.0, 4.0].map(f64::to_bits)
        );
        assert_eq!(disturbed.median.to_bits(), quiet.median.to_bits());
        assert_eq!(disturbed.high.to_bits(), quiet.high.to_bits());
    }

    #[test]
    fn every_row_is_visited_once_in_each_round() {
        let plan = Plan { rounds: 3, slice: Duration::from_micros(16) };
        let sample = || -> Sample { Box::new(Duration::from_micros) };
        let times = rounds(&mut [sample(), sample()], plan);
        assert_eq!(times, [[1000.0; 3]; 2]);
    }
}
