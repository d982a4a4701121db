//! The place of a field within an object.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The place of a field within an object, written as Kubernetes writes it: `spec.containers[0].image`.
///
/// Made by appending to a parent; each step costs one small allocation and a clone costs none, so that a
/// validator can carry paths without minding that almost all of them are never printed.
///
/// ```
/// use orch_core::object::FieldPath;
///
/// let labels = FieldPath::new("metadata").child("labels");
/// assert_eq!(labels.key("app.kubernetes.io/name").to_string(), "metadata.labels[app.kubernetes.io/name]");
/// assert_eq!(FieldPath::new("spec").child("ports").index(2).to_string(), "spec.ports[2]");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Option<Arc<Node>>);

#[derive(PartialEq, Eq, Hash)]
struct Node {
    parent: FieldPath,
    segment: Segment,
}

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field of an object: `.name`.
    Field(Cow<'static, str>),
    /// An element of a list: `[3]`.
    Index(usize),
    /// An entry of a map whose keys are free, such as labels: `[key]`.
    Key(Cow<'static, str>),
}

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self(None)
    }

    /// A field of the object itself.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self::root().child(name)
    }

    /// A field of what this path names.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.step(Segment::Field(name.into()))
    }

    /// An element of the list this path names, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Segment::Index(index))
    }

    /// An entry of the map this path names.
    #[must_use]
    pub fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.step(Segment::Key(key.into()))
    }

    /// This path and one more step.
    #[must_use]
    pub fn step(&self, segment: Segment) -> Self {
        Self(Some(Arc::new(Node {
            parent: self.clone(),
            segment,
        })))
    }

    /// What this path's last step starts from; none for the object itself.
    pub fn parent(&self) -> Option<&Self> {
        self.0.as_deref().map(|node| &node.parent)
    }

    /// The last step; none for the object itself.
    pub fn last(&self) -> Option<&Segment> {
        self.0.as_deref().map(|node| &node.segment)
    }

    /// Whether it names the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The steps from the object down.
    pub fn segments(&self) -> Vec<&Segment> {
        let mut segments = Vec::new();
        let mut at = self;
        while let Some(node) = at.0.as_deref() {
            segments.push(&node.segment);
            at = &node.parent;
        }
        segments.reverse();
        segments
    }
}

/// Releases a long chain link by link; the nested drop would recurse once per step.
impl Drop for FieldPath {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut node) = next.and_then(Arc::into_inner) {
            next = node.parent.0.take();
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments().into_iter().enumerate() {
            match segment {
                Segment::Field(name) if position == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

impl From<&'static str> for FieldPath {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}
