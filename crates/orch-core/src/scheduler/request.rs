//! What wants a place, and under which conditions.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use super::{Effect, Preference, Resources, Taint, Term};

/// Names a request, and the placement it becomes, among all others of a scheduler (`namespace/name` or a uid).
pub type Key = Arc<str>;

/// Something that wants a place.
///
/// ```
/// use orch_core::scheduler::{Request, Requirements, Resources};
///
/// let needs = Requirements::of(Resources::new(250, 64 << 20).slots(1));
/// let request = Request::new("default/web-1", needs).priority(100).order(7);
/// assert_eq!(request.shape.resources.cpu_millis, 250);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who it is.
    pub key: Key,
    /// Higher ones are placed first.
    pub priority: i32,
    /// Among equal priorities lower ones are placed first: creation time in any unit, or a sequence number.
    pub order: u64,
    /// What it requires and prefers.
    pub shape: Shape,
}

impl Request {
    /// A request of priority 0 and order 0.
    pub fn new(key: impl Into<Key>, shape: impl Into<Shape>) -> Self {
        Self {
            key: key.into(),
            priority: 0,
            order: 0,
            shape: shape.into(),
        }
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the order among equal priorities.
    #[must_use]
    pub fn order(mut self, order: u64) -> Self {
        self.order = order;
        self
    }
}

/// [`Requirements`] made ready to be shared and compared fast.
///
/// Requests with equal shapes are interchangeable to a scheduler: what it learnt for one serves them all. Make
/// one shape and clone it for many requests where that is easy; equal shapes made apart work too.
#[derive(Clone, Debug)]
pub struct Shape(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    needs: Requirements,
    /// A hash of the whole.
    hash: u64,
    /// A hash that leaves out which group it is.
    core_hash: u64,
}

impl From<Requirements> for Shape {
    fn from(mut needs: Requirements) -> Self {
        needs.resources.cut();
        let group = needs.group.take();
        let mut hasher = DefaultHasher::new();
        (&needs, group.is_some()).hash(&mut hasher);
        let core_hash = hasher.finish();
        group.hash(&mut hasher);
        needs.group = group;
        Self(Arc::new(Shared {
            needs,
            hash: hasher.finish(),
            core_hash,
        }))
    }
}

impl Deref for Shape {
    type Target = Requirements;

    fn deref(&self) -> &Requirements {
        &self.0.needs
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.needs == other.0.needs)
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// A shape that equals those which differ from it only in which group they are of.
#[derive(Clone, Debug)]
pub(super) struct Core(pub(super) Shape);

impl PartialEq for Core {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&self.0.0, &other.0.0);
        Arc::ptr_eq(one, two) || (one.core_hash == two.core_hash && one.needs.equal_but_for_group(&two.needs))
    }
}

impl Eq for Core {}

impl Hash for Core {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0.core_hash);
    }
}

/// What a request requires of a node, and what it prefers. The default asks for nothing, not even a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// The [profile](super::Profile) to place it by; empty: the scheduler's first.
    pub profile: String,
    /// What it takes of the node.
    pub resources: Resources,
    /// The only node it may go to.
    pub node: Option<String>,
    /// Labels the node must have, with these values.
    pub selector: BTreeMap<String, String>,
    /// If there are any, the node must match at least one of these terms.
    pub affinity: Vec<Term>,
    /// Nodes that match these are preferred, by weight.
    pub preferences: Vec<Preference>,
    /// The taints that do not keep it away.
    pub tolerations: Vec<Toleration>,
    /// Whether it may go to nodes that are [unschedulable](super::Node::unschedulable).
    pub tolerates_unschedulable: bool,
    /// Ports of the node itself that it takes.
    pub host_ports: Vec<HostPort>,
    /// Those of one group are kept apart where possible: one owner's replicas, as a rule.
    pub group: Option<Group>,
    /// For plugins of the embedder's own; the shipped ones ignore it.
    pub attributes: BTreeMap<String, String>,
}

impl Requirements {
    /// Requires these resources and nothing else.
    pub fn of(resources: Resources) -> Self {
        Self {
            resources,
            ..Self::default()
        }
    }

    /// Makes it one of `group`.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(Group::new(group));
        self
    }

    /// Whether it tolerates `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations
            .iter()
            .any(|toleration| toleration.tolerates(taint))
    }

    /// Whether both require the same, except that they may be of different groups.
    fn equal_but_for_group(&self, other: &Self) -> bool {
        // Named one by one, so that a new field cannot be forgotten.
        let Self {
            profile,
            resources,
            node,
            selector,
            affinity,
            preferences,
            tolerations,
            tolerates_unschedulable,
            host_ports,
            group,
            attributes,
        } = self;
        group.is_some() == other.group.is_some()
            && *resources == other.resources
            && *profile == other.profile
            && *node == other.node
            && *selector == other.selector
            && *affinity == other.affinity
            && *preferences == other.preferences
            && *tolerations == other.tolerations
            && *tolerates_unschedulable == other.tolerates_unschedulable
            && *host_ports == other.host_ports
            && *attributes == other.attributes
    }

    /// The only nodes that can match, by name, if the requirements name them; may hold names twice.
    pub(super) fn named_nodes(&self) -> Option<Vec<&str>> {
        if let Some(node) = &self.node {
            return Some(vec![node]);
        }
        if self.affinity.is_empty() {
            return None;
        }
        let terms: Option<Vec<&[String]>> = self.affinity.iter().map(Term::names).collect();
        terms.map(|terms| terms.into_iter().flatten().map(String::as_str).collect())
    }
}

/// Whose replicas to keep apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(u64);

impl Group {
    /// The group with this name. Kept as a 64-bit hash: it only steers a preference.
    pub fn new(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Lets a request go where a [`Taint`] would keep it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The taint's key; none: every key.
    pub key: Option<String>,
    /// The taint's value; none: every value (Kubernetes' operator `Exists`).
    pub value: Option<String>,
    /// The taint's effect; none: every effect.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether it covers `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The word as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// A port of a node, taken exclusively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The address; none, `0.0.0.0` and `::` are all of them.
    pub ip: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
}

impl HostPort {
    /// A TCP port on all addresses.
    pub fn tcp(port: u16) -> Self {
        Self {
            ip: None,
            protocol: Protocol::Tcp,
            port,
        }
    }

    /// Whether one node cannot give out both.
    pub fn conflicts(&self, other: &Self) -> bool {
        let one = |port: &Self| port.ip.filter(|ip| !ip.is_unspecified());
        let same_address = match (one(self), one(other)) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.protocol == other.protocol && self.port == other.port && same_address
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(ip) = self.ip.filter(|ip| !ip.is_unspecified()) {
            write!(f, "{ip} ")?;
        }
        write!(f, "{}/{}", self.port, self.protocol.as_str())
    }
}
