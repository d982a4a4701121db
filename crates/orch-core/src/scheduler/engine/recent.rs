//! A map of bounded size that forgets what was used longest ago.

use std::collections::HashMap;
use std::hash::Hash;

/// Up to `limit` values; when one more is needed, the half used longest ago goes.
pub(super) struct Recent<K, V> {
    all: HashMap<K, Used<V>>,
    limit: usize,
    /// Counts uses.
    uses: u64,
}

struct Used<V> {
    /// The last use, as counted.
    at: u64,
    value: V,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        let all = HashMap::new();
        Self { all, limit, uses: 0 }
    }

    /// The value, without counting as a use.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.all.get(key).map(|used| &used.value)
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let used = self.all.get_mut(key)?;
        used.at = self.uses;
        Some(&mut used.value)
    }

    pub(super) fn get_or_insert(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if self.all.len() >= self.limit && !self.all.contains_key(&key) {
            let mut ages: Vec<u64> = self.all.values().map(|used| used.at).collect();
            let (_, median, _) = ages.select_nth_unstable(self.limit / 2);
            let median = *median;
            self.all.retain(|_, used| used.at > median);
        }
        self.uses += 1;
        let at = self.uses;
        let used = self.all.entry(key).or_insert_with(|| Used { at, value: make() });
        used.at = at;
        &mut used.value
    }

    /// Leaves at most `limit` values for which `is_heavy` holds, by having the others of them lightened, those first that
    /// were used longest ago.
    pub(super) fn lighten(&mut self, limit: usize, is_heavy: impl Fn(&V) -> bool, lighten: impl Fn(&mut V)) {
        let heavy = self.all.values_mut().filter(|used| is_heavy(&used.value));
        let mut heavy: Vec<_> = heavy.collect();
        if heavy.len() > limit {
            heavy.sort_unstable_by_key(|used| used.at);
            let surplus = heavy.len() - limit;
            for used in heavy.into_iter().take(surplus) {
                lighten(&mut used.value);
            }
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.all.values_mut().map(|used| &mut used.value)
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut recent = Recent::new(4);
        for key in 0..4 {
            recent.get_or_insert(key, || key);
        }
        recent.get(&0);
        recent.get_or_insert(4, || 4);
        let kept: Vec<_> = (0..5).filter(|key| recent.peek(key).is_some()).collect();
        assert_eq!(kept, [0, 4]);

        recent.lighten(1, |value| *value < 9, |value| *value = 9);
        assert_eq!((recent.peek(&0), recent.peek(&4)), (Some(&9), Some(&4)));
    }
}
