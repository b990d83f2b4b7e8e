use std::{error::Error, fmt};

/// In billionths, so that one token a second is one of them a nanosecond, and nothing is rounded off.
pub(super) const TOKEN: u64 = 1_000_000_000;

/// Billionths in a thousandth, the least that gRPC's ratio can say.
const THOUSANDTH: u64 = TOKEN / 1000;

/// Retries for a hundred successes, and gRPC's example: enough for a server that restarts, and not for an
/// outage.
const BURST: u32 = 10;

/// gRFC A6.
const MOST_OF_A_THROTTLE: u32 = 1000;

/// What a budget goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// The most that can be saved up.
    pub(super) most: u64,
    /// What each success brings.
    pub(super) deposit: u64,
    /// Tokens a second, that is billionths a nanosecond.
    pub(super) floor: u32,
    pub(super) max_concurrent: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Ratio,
    Throttle,
    Unlimited,
}

impl Rule {
    pub(super) const UNLIMITED: Self =
        Self { kind: Kind::Unlimited, most: 0, deposit: 0, floor: 0, max_concurrent: u32::MAX };

    pub(super) fn ratio(share: f64) -> Result<Self, InvalidBudget> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(InvalidBudget(Fault::Share(share)));
        }
        // Less than a billionth is as good as that.
        let deposit = billionths(share).max(1);
        let rule = Self { kind: Kind::Ratio, deposit, ..Self::UNLIMITED };
        Ok(rule.with_burst(BURST))
    }

    pub(super) fn throttle(max_tokens: u32, token_ratio: f64) -> Result<Self, InvalidBudget> {
        if max_tokens == 0 || max_tokens > MOST_OF_A_THROTTLE {
            return Err(InvalidBudget(Fault::Tokens(max_tokens)));
        }
        // To the nearest billionth first: 1.001 as a binary fraction is less than 1.001.
        let deposit = billionths(token_ratio) / THOUSANDTH * THOUSANDTH;
        if deposit == 0 || !token_ratio.is_finite() {
            return Err(InvalidBudget(Fault::Ratio(token_ratio)));
        }
        let rule = Self { kind: Kind::Throttle, deposit, ..Self::UNLIMITED };
        Ok(rule.with_burst(max_tokens))
    }

    pub(super) fn with_burst(self, tokens: u32) -> Self {
        Self { most: u64::from(tokens) * TOKEN, ..self }
    }

    /// What there must be for a retry.
    pub(super) fn needed(&self) -> u64 {
        match self.kind {
            Kind::Ratio => TOKEN,
            // More than half.
            Kind::Throttle => self.most / 2 + 1,
            Kind::Unlimited => 0,
        }
    }

    /// What a retry takes.
    pub(super) fn price(&self) -> u64 {
        if matches!(self.kind, Kind::Ratio) { TOKEN } else { 0 }
    }

    /// What a failure takes.
    pub(super) fn charge(&self) -> u64 {
        if matches!(self.kind, Kind::Throttle) { TOKEN } else { 0 }
    }

    /// In tokens, as people read them.
    #[allow(clippy::cast_precision_loss, reason = "it is for people")]
    pub(super) fn tokens(&self, billionths: u64) -> f64 {
        match self.kind {
            Kind::Unlimited => f64::INFINITY,
            Kind::Ratio | Kind::Throttle => billionths as f64 / TOKEN as f64,
        }
    }
}

/// 0 for what is no number, the most there is for what is too large.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "such a cast saturates"
)]
fn billionths(tokens: f64) -> u64 {
    (tokens * TOKEN as f64).round() as u64
}

/// What is wrong with a budget.
#[derive(Clone, Debug, PartialEq)]
enum Fault {
    Share(f64),
    Tokens(u32),
    Ratio(f64),
}

/// This is no budget: a value is out of bounds.
///
/// Shown as one line that names the value and what is accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidBudget(Fault);

impl fmt::Display for InvalidBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Share(share) => write!(
                f,
                "{share} is no share of successes that may be retries: it is above 0 and at most 1"
            ),
            Fault::Tokens(tokens) => {
                write!(f, "{tokens} tokens throttle no retries: 1 to {MOST_OF_A_THROTTLE} do")
            }
            Fault::Ratio(ratio) => {
                write!(f, "{ratio} tokens are nothing that a success brings: at least 0.001 are")
            }
        }
    }
}

impl Error for InvalidBudget {}
