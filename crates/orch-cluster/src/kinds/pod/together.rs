//! What a pod's containers take together at most (KEP-753; Kubernetes' `PodRequests`).

use std::collections::BTreeMap;

use orch_core::object::Quantity;

/// Amounts by resource name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sum(pub(crate) BTreeMap<String, Quantity>);

impl Sum {
    /// Adds amounts as written. One that cannot be read counts as nothing, for validation keeps it out; where a sum is
    /// more than a quantity can say, the larger part stands for it.
    pub(crate) fn add<'a>(&mut self, amounts: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (name, amount) in amounts {
            let Ok(amount) = amount.parse::<Quantity>() else {
                continue;
            };
            match self.0.get_mut(name) {
                Some(sum) => *sum = sum.checked_add(amount).unwrap_or((*sum).max(amount)),
                None => drop(self.0.insert(name.to_owned(), amount)),
            }
        }
    }

    fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_insert(*amount);
            *own = (*own).max(*amount);
        }
    }
}

/// The larger of what the main containers and the sidecars take at once, and what any init container takes beside the
/// sidecars started before it. `inits` says of each whether it is a sidecar.
pub(crate) fn together<'a, A>(
    mains: impl IntoIterator<Item = A>,
    inits: impl IntoIterator<Item = (A, bool)>,
) -> Sum
where
    A: IntoIterator<Item = (&'a str, &'a str)> + Clone,
{
    let mut sum = Sum::default();
    for amounts in mains {
        sum.add(amounts);
    }
    let (mut sidecars, mut peak) = (Sum::default(), Sum::default());
    for (amounts, is_sidecar) in inits {
        let mut running = sidecars.clone();
        running.add(amounts.clone());
        peak.raise(&running);
        if is_sidecar {
            sidecars = running;
            sum.add(amounts);
        }
    }
    sum.raise(&peak);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_takes_what_its_hungriest_moment_takes() {
        let sidecar = |amount| (amount, true);
        let init = |amount| (amount, false);
        for (mains, inits, cpu) in [
            (&["100m", "200m"][..], &[][..], "300m"),
            (&["100m"], &[init("1")], "1"),
            (&["100m"], &[init("1"), init("2")], "2"),
            (&["100m"], &[sidecar("1")], "1100m"),
            (&["100m"], &[sidecar("1"), init("500m")], "1500m"),
            (&["100m"], &[init("500m"), sidecar("1")], "1100m"),
            (&["1"], &[sidecar("1"), sidecar("1"), init("900m")], "3"),
            (&["100m", "much"], &[], "100m"),
        ] {
            let amounts = |amount: &'static str| [("cpu", amount)];
            let inits = inits
                .iter()
                .map(|(amount, is_sidecar)| (amounts(amount), *is_sidecar));
            let sum = together(mains.iter().map(|amount| amounts(amount)), inits);
            let expected: Quantity = cpu.parse().unwrap();
            assert_eq!(sum.0["cpu"].nanos(), expected.nanos(), "{mains:?}");
        }
    }
}
