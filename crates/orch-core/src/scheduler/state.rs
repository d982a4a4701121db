//! A node and what is placed on it, as plugins see it.

use std::sync::Arc;

use super::{Group, HostPort, Node, Requirements, Taint};

/// What a request that names no amount counts as when nodes are compared: 100 thousandths of a processor and
/// 200 MiB, as in kube-scheduler (`GetNonzeroRequests`). Else such requests would weigh nothing, and all
/// go to one node.
const UNSTATED: [u64; 2] = [100, 200 << 20];

/// A node with the sums of what is placed on it.
///
/// ```
/// use orch_core::scheduler::{Node, NodeState, Requirements, Resources};
///
/// let mut node = NodeState::new(Node::new("n1", Resources::new(1_000, 1 << 30).slots(10)));
/// let needs = Requirements::of(Resources::new(300, 0).slots(1));
/// node.add(&needs);
/// assert_eq!((node.free("cpu"), node.free("slots"), node.placements()), (700, 9, 1));
/// node.remove(&needs);
/// assert_eq!((node.free("cpu"), node.placements()), (1_000, 0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    // What resource fit and scores read for every candidate comes first, to share cache lines.
    allocatable: [u64; 3],
    used: [u64; 3],
    /// Used processor time and memory with [`UNSTATED`] filled in.
    weighed: [u64; 2],
    /// 1 / allocatable, for the scores; 0 where nothing is allocatable.
    inverse: [f64; 2],
    named: Vec<Named>,
    groups: Vec<(Group, u32)>,
    ports: Vec<HostPort>,
    placements: u32,
    unschedulable: bool,
    name: Arc<str>,
    labels: Box<[(Arc<str>, Arc<str>)]>,
    taints: Vec<Taint>,
}

#[derive(Clone, Debug, PartialEq)]
struct Named {
    name: Arc<str>,
    allocatable: u64,
    used: u64,
}

/// Processor time, memory and slots: the resources held in arrays rather than by name.
const FIXED: [&str; 3] = ["cpu", "memory", "slots"];

impl NodeState {
    /// An empty node.
    pub fn new(node: Node) -> Self {
        let mut state = Self::unknown(node.name.as_str().into());
        state.describe(node, &mut |text| text.into());
        state
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the label `key`.
    pub fn label(&self, key: &str) -> Option<&str> {
        let found = self.labels.binary_search_by(|(name, _)| (**name).cmp(key));
        found.ok().map(|index| &*self.labels[index].1)
    }

    /// Its taints.
    pub fn taints(&self) -> &[Taint] {
        &self.taints
    }

    /// Whether it is closed to new placements.
    pub fn unschedulable(&self) -> bool {
        self.unschedulable
    }

    /// How many placements it has.
    pub fn placements(&self) -> u32 {
        self.placements
    }

    /// How many placements of `group` it has.
    pub fn in_group(&self, group: Group) -> u32 {
        let found = self.groups.binary_search_by_key(&group, |(group, _)| *group);
        found.map_or(0, |index| self.groups[index].1)
    }

    /// The host ports taken.
    pub fn host_ports(&self) -> &[HostPort] {
        &self.ports
    }

    /// How much of the resource it has in all: `cpu` (thousandths), `memory` (bytes), `slots`, or a name.
    pub fn allocatable(&self, resource: &str) -> u64 {
        match FIXED.iter().position(|name| *name == resource) {
            Some(index) => self.allocatable[index],
            None => self.named(resource).map_or(0, |named| named.allocatable),
        }
    }

    /// How much of the resource its placements take; may be more than it has.
    pub fn used(&self, resource: &str) -> u64 {
        match FIXED.iter().position(|name| *name == resource) {
            Some(index) => self.used[index],
            None => self.named(resource).map_or(0, |named| named.used),
        }
    }

    /// How much of the resource is left.
    pub fn free(&self, resource: &str) -> u64 {
        self.allocatable(resource).saturating_sub(self.used(resource))
    }

    /// The first resource of which too little is left for `needs`. What is not asked for is never lacking,
    /// overcommitted or not.
    pub fn lacking<'a>(&self, needs: &'a Requirements) -> Option<&'a str> {
        let wanted = wanted(needs);
        for index in 0..FIXED.len() {
            let free = self.allocatable[index].saturating_sub(self.used[index]);
            if wanted[index] > free {
                return Some(FIXED[index]);
            }
        }
        let mut named = needs.resources.named.iter();
        let lacking = named.find(|(name, amount)| **amount > 0 && **amount > self.free(name));
        lacking.map(|(name, _)| name.as_str())
    }

    /// The fractions of processor time and memory in use once `needs` is placed here too; 1 at most.
    pub fn fractions_with(&self, needs: &Requirements) -> [f64; 2] {
        let add = weight(needs);
        [0, 1].map(|index| {
            if self.inverse[index] == 0.0 {
                return 1.0;
            }
            // Exact enough: sums stay below 2^53 unless the node is absurdly overcommitted.
            ((self.weighed[index].wrapping_add(add[index])) as f64 * self.inverse[index]).min(1.0)
        })
    }

    /// Counts a placement in.
    pub fn add(&mut self, needs: &Requirements) {
        self.placements = self.placements.wrapping_add(1);
        self.count(needs, u64::wrapping_add);
        for (name, amount) in &needs.resources.named {
            let index = self.named_index(name, &mut |name| name.into());
            self.named[index].used = self.named[index].used.wrapping_add(*amount);
        }
        if let Some(group) = needs.group {
            match self.groups.binary_search_by_key(&group, |(group, _)| *group) {
                Ok(index) => self.groups[index].1 += 1,
                Err(index) => self.groups.insert(index, (group, 1)),
            }
        }
        self.ports.extend(&needs.host_ports);
    }

    /// Counts out a placement that was counted in with the same requirements.
    pub fn remove(&mut self, needs: &Requirements) {
        self.placements = self.placements.wrapping_sub(1);
        self.count(needs, u64::wrapping_sub);
        for (name, amount) in &needs.resources.named {
            if let Ok(index) = self.find_named(name) {
                let named = &mut self.named[index];
                named.used = named.used.wrapping_sub(*amount);
                if (named.used, named.allocatable) == (0, 0) {
                    self.named.remove(index);
                }
            }
        }
        if let Some(group) = needs.group
            && let Ok(index) = self.groups.binary_search_by_key(&group, |(group, _)| *group)
        {
            self.groups[index].1 -= 1;
            if self.groups[index].1 == 0 {
                self.groups.remove(index);
            }
        }
        for port in &needs.host_ports {
            if let Some(index) = self.ports.iter().position(|held| held == port) {
                self.ports.swap_remove(index);
            }
        }
    }

    /// A node of which nothing is known but its name.
    pub(super) fn unknown(name: Arc<str>) -> Self {
        Self {
            allocatable: [0; 3],
            used: [0; 3],
            weighed: [0; 2],
            inverse: [0.0; 2],
            named: Vec::new(),
            groups: Vec::new(),
            ports: Vec::new(),
            placements: 0,
            unschedulable: false,
            name,
            labels: Box::default(),
            taints: Vec::new(),
        }
    }

    /// The name, shared.
    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Takes over everything `node` says but its name; what is placed stays. `intern` shares strings.
    pub(super) fn describe(&mut self, mut node: Node, intern: &mut dyn FnMut(&str) -> Arc<str>) {
        node.allocatable.cut();
        let Node {
            labels,
            allocatable,
            taints,
            unschedulable,
            ..
        } = node;
        self.allocatable = [
            allocatable.cpu_millis,
            allocatable.memory_bytes,
            allocatable.slots,
        ];
        self.inverse = [0, 1].map(|index| match self.allocatable[index] {
            0 => 0.0,
            amount => 1.0 / amount as f64,
        });
        for named in &mut self.named {
            named.allocatable = 0;
        }
        for (name, amount) in &allocatable.named {
            let index = self.named_index(name, intern);
            self.named[index].allocatable = *amount;
        }
        self.named
            .retain(|named| (named.used, named.allocatable) != (0, 0));
        let labels = labels.iter().map(|(key, value)| (intern(key), intern(value)));
        self.labels = labels.collect();
        self.taints = taints;
        self.unschedulable = unschedulable;
    }

    /// Whether [`describe`](Self::describe) would change nothing.
    pub(super) fn is_described_by(&self, node: &Node) -> bool {
        let mut allocatable = node.allocatable.clone();
        allocatable.cut();
        let named = self.named.iter().filter(|named| named.allocatable > 0);
        let named = named.map(|named| (&*named.name, named.allocatable));
        let told = allocatable.named.iter().filter(|(_, amount)| **amount > 0);
        let labels = self.labels.iter().map(|(key, value)| (&**key, &**value));
        let told_labels = node
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        self.unschedulable == node.unschedulable
            && self.allocatable
                == [
                    allocatable.cpu_millis,
                    allocatable.memory_bytes,
                    allocatable.slots,
                ]
            && self.taints == node.taints
            && named.eq(told.map(|(name, amount)| (name.as_str(), *amount)))
            && labels.eq(told_labels)
    }

    fn count(&mut self, needs: &Requirements, apply: fn(u64, u64) -> u64) {
        // Wrapping, so that taking away what was added is exact whatever the sums were in between.
        let (wanted, weight) = (wanted(needs), weight(needs));
        for (used, amount) in self.used.iter_mut().zip(wanted) {
            *used = apply(*used, amount);
        }
        for (weighed, amount) in self.weighed.iter_mut().zip(weight) {
            *weighed = apply(*weighed, amount);
        }
    }

    fn named(&self, resource: &str) -> Option<&Named> {
        self.find_named(resource).ok().map(|index| &self.named[index])
    }

    fn find_named(&self, resource: &str) -> Result<usize, usize> {
        self.named.binary_search_by(|named| (*named.name).cmp(resource))
    }

    fn named_index(&mut self, resource: &str, intern: &mut dyn FnMut(&str) -> Arc<str>) -> usize {
        self.find_named(resource).unwrap_or_else(|index| {
            let named = Named {
                name: intern(resource),
                allocatable: 0,
                used: 0,
            };
            self.named.insert(index, named);
            index
        })
    }
}

fn wanted(needs: &Requirements) -> [u64; 3] {
    let resources = &needs.resources;
    [resources.cpu_millis, resources.memory_bytes, resources.slots]
}

fn weight(needs: &Requirements) -> [u64; 2] {
    let resources = &needs.resources;
    let stated = [resources.cpu_millis, resources.memory_bytes];
    [0, 1].map(|index| match stated[index] {
        0 => UNSTATED[index],
        amount => amount,
    })
}
