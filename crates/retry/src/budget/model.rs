/// A budget as one would write it down for one thread: whole thousandths of a token, and milliseconds.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) rule: Rule,
    pub(super) thousandths: u64,
    pub(super) held: Vec<Held>,
    /// Since when time counts: somebody has come to take.
    begun: bool,
    /// Milliseconds since then, or since the one before.
    waited: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) burst: u64,
    pub(super) floor: u64,
    /// In thousandths of a token.
    pub(super) deposit: u64,
    pub(super) max_concurrent: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Ratio,
    Throttle,
    Unlimited,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) spent: bool,
}

impl Model {
    pub(super) fn new(rule: Rule) -> Self {
        let thousandths = rule.burst * 1000;
        Self { rule, thousandths, held: Vec::new(), begun: false, waited: 0 }
    }

    fn add(&mut self, thousandths: u64) {
        self.thousandths = (self.thousandths + thousandths).min(self.rule.burst * 1000);
    }

    pub(super) fn waited(&mut self, millis: u64) {
        // Before the first retry it is not known how much time has passed.
        if self.begun {
            self.waited += millis;
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.add(self.rule.deposit);
    }

    pub(super) fn spend(&mut self, which: usize) {
        self.held[which].spent = true;
    }

    pub(super) fn failed(&mut self) {
        if self.rule.kind == Kind::Throttle {
            self.thousandths = self.thousandths.saturating_sub(1000);
        }
    }

    pub(super) fn take(&mut self) -> bool {
        if self.rule.max_concurrent.is_some_and(|most| self.held.len() >= most) {
            return false;
        }
        self.begun = true;
        self.add(self.rule.floor * self.waited);
        self.waited = 0;
        let allowed = match self.rule.kind {
            Kind::Ratio => self.thousandths >= 1000,
            Kind::Throttle => 2 * self.thousandths > 1000 * self.rule.burst,
            Kind::Unlimited => true,
        };
        if allowed {
            if self.rule.kind == Kind::Ratio {
                self.thousandths -= 1000;
            }
            self.held.push(Held { spent: false });
        }
        allowed
    }

    pub(super) fn drop(&mut self, which: usize) {
        let held = self.held.swap_remove(which);
        if !held.spent && self.rule.kind == Kind::Ratio {
            self.add(1000);
        }
    }
}
