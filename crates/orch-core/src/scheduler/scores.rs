//! The shipped scores, and the profiles made of them and of the shipped filters.

use super::{
    AffinityFilter, CordonFilter, Effect, HostPortFilter, MAX_SCORE, NodeNameFilter, NodeState, Profile,
    Reads, Requirements, ResourceFilter, Score, SelectorFilter, TaintFilter,
};

/// A fraction as a score; what lies outside 0 to 1 is cut.
fn scale(fraction: f64) -> u32 {
    (fraction.clamp(0.0, 1.0) * f64::from(MAX_SCORE)) as u32
}

/// Prefers nodes with much processor time and memory left (kube-scheduler: `LeastAllocated`).
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastAllocatedScore;

impl Score for LeastAllocatedScore {
    fn name(&self) -> &'static str {
        "LeastAllocated"
    }

    fn reads(&self) -> Reads {
        Reads::Usage
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let [cpu, memory] = node.fractions_with(needs);
        scale(1.0 - (cpu + memory) / 2.0)
    }
}

/// Prefers nodes with little processor time and memory left, to keep others empty (kube-scheduler:
/// `MostAllocated`).
#[derive(Clone, Copy, Debug, Default)]
pub struct MostAllocatedScore;

impl Score for MostAllocatedScore {
    fn name(&self) -> &'static str {
        "MostAllocated"
    }

    fn reads(&self) -> Reads {
        Reads::Usage
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let [cpu, memory] = node.fractions_with(needs);
        scale((cpu + memory) / 2.0)
    }
}

/// Prefers nodes where processor time and memory run out together (kube-scheduler: `BalancedAllocation`).
#[derive(Clone, Copy, Debug, Default)]
pub struct BalancedScore;

impl Score for BalancedScore {
    fn name(&self) -> &'static str {
        "Balanced"
    }

    fn reads(&self) -> Reads {
        Reads::Usage
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let [cpu, memory] = node.fractions_with(needs);
        // The standard deviation of two numbers is half their distance.
        scale(1.0 - (cpu - memory).abs() / 2.0)
    }
}

/// Prefers nodes with fewer placements of the same [group](Requirements::group).
///
/// The score is the best one divided by one more than their number, so the first few weigh most; evenness
/// beyond them comes from [`LeastAllocatedScore`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupSpreadScore;

impl Score for GroupSpreadScore {
    fn name(&self) -> &'static str {
        "GroupSpread"
    }

    fn reads(&self) -> Reads {
        Reads::Group
    }

    fn applies(&self, needs: &Requirements) -> bool {
        needs.group.is_some()
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let others = needs.group.map_or(0, |group| node.in_group(group));
        MAX_SCORE / others.saturating_add(1)
    }
}

/// Prefers nodes that match the [preferences](Requirements::preferences) (Kubernetes: preferred node
/// affinity): the weight of those that match as a share of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct PreferenceScore;

impl Score for PreferenceScore {
    fn name(&self) -> &'static str {
        "Preference"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn applies(&self, needs: &Requirements) -> bool {
        needs.preferences.iter().any(|preference| preference.weight > 0)
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let (mut all, mut matched) = (0_u64, 0_u64);
        for preference in &needs.preferences {
            all += u64::from(preference.weight);
            if preference.term.matches(node) {
                matched += u64::from(preference.weight);
            }
        }
        scale(matched as f64 / all.max(1) as f64)
    }
}

/// Prefers nodes with fewer `PreferNoSchedule` taints that are not tolerated (kube-scheduler:
/// `TaintToleration`): the best score divided by one more than their number.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaintScore;

impl Score for TaintScore {
    fn name(&self) -> &'static str {
        "Taint"
    }

    fn reads(&self) -> Reads {
        Reads::Node
    }

    fn score(&self, needs: &Requirements, node: &NodeState) -> u32 {
        let repelling = node
            .taints()
            .iter()
            .filter(|taint| taint.effect == Effect::PreferNoSchedule && !needs.tolerates(taint));
        MAX_SCORE / u32::try_from(repelling.count()).map_or(u32::MAX, |count| count.saturating_add(1))
    }
}

impl Profile {
    /// All shipped filters, and scores that spread load and groups evenly, weighed as kube-scheduler weighs
    /// theirs by default.
    pub fn spreading(name: impl Into<String>) -> Self {
        Self::filtering(name)
            .score(LeastAllocatedScore, 1)
            .score(BalancedScore, 1)
            .score(GroupSpreadScore, 2)
    }

    /// All shipped filters, and scores that fill one node before the next. Groups are not kept apart.
    pub fn packing(name: impl Into<String>) -> Self {
        Self::filtering(name).score(MostAllocatedScore, 1)
    }

    /// All shipped filters, and the scores for what requests and nodes themselves prefer.
    fn filtering(name: impl Into<String>) -> Self {
        Self::empty(name)
            .filter(NodeNameFilter)
            .filter(CordonFilter)
            .filter(SelectorFilter)
            .filter(AffinityFilter)
            .filter(TaintFilter)
            .filter(HostPortFilter)
            .filter(ResourceFilter)
            .score(PreferenceScore, 2)
            .score(TaintScore, 3)
    }
}
