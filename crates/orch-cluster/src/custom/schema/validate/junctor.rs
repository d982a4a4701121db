//! `allOf`, `anyOf`, `oneOf` and `not`.

use orch_core::object::FieldError;

use super::data::{Data, Outcome, Place};
use super::{Old, Validator};
use crate::custom::schema::node::{Node, Values};

impl Validator<'_> {
    pub(super) fn junctors(
        &mut self,
        values: &Values,
        data: Data<'_>,
        old: Option<Old<'_>>,
        place: &Place<'_>,
        outcome: &mut Outcome,
    ) {
        outcome.passed += 1;
        let check = |validator: &mut Self, case: &Node| validator.schema(case, data, old, place);
        if !values.any_of.is_empty() {
            let mut best = Best::default();
            for case in &values.any_of {
                best.add(check(self, case));
                if best.valid > 0 {
                    break;
                }
            }
            if best.valid == 0 {
                self.whole(outcome, place, "must validate at least one schema (anyOf)");
            }
            outcome.merge(best.outcome);
        }
        if !values.one_of.is_empty() {
            let mut best = Best::default();
            for case in &values.one_of {
                best.add(check(self, case));
            }
            let found = match best.valid {
                0 => Some("Found none valid".to_owned()),
                1 => None,
                several => Some(format!("Found {several} valid alternatives")),
            };
            if let Some(found) = &found {
                let detail = format!("must validate one and only one schema (oneOf). {found}");
                self.whole(outcome, place, &detail);
            }
            if best.valid < 2 {
                outcome.merge(best.outcome);
            }
        }
        let mut valid = 0;
        for case in &values.all_of {
            let found = check(self, case);
            valid += usize::from(found.is_valid());
            outcome.merge(found);
        }
        if valid != values.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            let detail = format!("must validate all the schemas (allOf){none}");
            self.whole(outcome, place, &detail);
        }
        if let Some(not) = &values.not
            && check(self, not).is_valid()
        {
            self.whole(outcome, place, "must not validate the schema (not)");
        }
    }

    /// An error of a junctor, which in Kubernetes is one of the whole object and names the field in its text.
    fn whole(&mut self, outcome: &mut Outcome, place: &Place<'_>, detail: &str) {
        let detail = format!("{:?} {detail}", self.name(place));
        let error = FieldError::invalid(&self.path(&Place::Root), "", detail);
        self.tell(outcome, error);
    }
}

/// What was found by the first case that fits, or else by the one that came nearest.
#[derive(Default)]
struct Best {
    outcome: Outcome,
    seen: bool,
    valid: usize,
}

impl Best {
    fn add(&mut self, outcome: Outcome) {
        let is_valid = outcome.is_valid();
        let is_nearer = !self.seen || outcome.passed > self.outcome.passed;
        if self.valid == 0 && (is_valid || is_nearer) {
            self.outcome = outcome;
        }
        self.seen = true;
        self.valid += usize::from(is_valid);
    }
}
