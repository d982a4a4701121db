//! The same filter with fewer instructions: what it says of a call's number alone is said of ranges of numbers.
//!
//! libseccomp tells each call from all others. But most that are let through stand next to others that are, and the kernel
//! compiles every instruction whenever a container starts, and then goes through some of them at every call.

use std::collections::{BTreeMap, BTreeSet};

use crate::sys::{Compare, Instruction, Step};

/// Offsets into the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// What decides over a call of one architecture and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Verdict(u32),
    /// Its arguments do, by the instructions from here on.
    Arguments(usize),
}

/// An instruction, or a jump to one of the original's.
enum Out {
    Instruction(Instruction),
    Original(usize),
}

/// The original if it is not understood, or as short as it can be.
pub(super) fn fold(program: Vec<Instruction>) -> Vec<Instruction> {
    match folded(&program) {
        Some(folded) if folded.len() < program.len() => folded,
        _ => program,
    }
}

fn folded(program: &[Instruction]) -> Option<Vec<Instruction>> {
    let steps: Vec<Step> = program.iter().map(|instruction| instruction.step()).collect();
    let Compared { archs, numbers } = compared(&steps)?;
    // Numbers that are told apart from the one before.
    let starts: BTreeSet<u32> = numbers
        .iter()
        .flat_map(|number| [Some(*number), number.checked_add(1)])
        .flatten()
        .chain([0])
        .collect();
    let none = (0..=u32::MAX).find(|arch| !archs.contains(arch))?;
    let mut out = vec![Out::Instruction(Instruction::load(ARCH))];
    for arch in archs {
        let part = of_arch(&steps, &starts, arch)?;
        // Of another, past this part.
        out.push(Out::Instruction(Instruction::if_equal(arch, 1, 0)));
        out.push(Out::Instruction(Instruction::jump(
            u32::try_from(part.len()).ok()?,
        )));
        out.extend(part);
    }
    out.extend(of_arch(&steps, &starts, none)?);
    with_originals(out, program, &steps)
}

/// What the architecture and the number of a call are compared with.
#[derive(Default)]
struct Compared {
    archs: BTreeSet<u32>,
    numbers: BTreeSet<u32>,
}

/// None for a program with anything in it that is not understood.
fn compared(steps: &[Step]) -> Option<Compared> {
    let mut all = Compared::default();
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![(0, None)]);
    while let Some((at, loaded)) = ahead.pop() {
        if !seen.insert((at, loaded)) {
            continue;
        }
        match *steps.get(at)? {
            Step::Load(offset) => ahead.push((at + 1, Some(offset))),
            Step::Jump(by) => ahead.push((at + 1 + by, loaded)),
            Step::If { compare, value, to } => {
                match (loaded?, compare) {
                    (ARCH, Compare::Equal) => drop(all.archs.insert(value)),
                    (NUMBER, Compare::Equal | Compare::AtLeast | Compare::More) => {
                        all.numbers.insert(value);
                    }
                    (ARCH | NUMBER, _) => return None,
                    _ => {}
                }
                ahead.extend(to.map(|by| (at + 1 + by, loaded)));
            }
            Step::And(_) if matches!(loaded?, ARCH | NUMBER) => return None,
            Step::And(_) => ahead.push((at + 1, loaded)),
            Step::Return(_) => {}
            Step::Other => return None,
        }
    }
    Some(all)
}

/// What decides, as far as architecture and number do.
fn decide(steps: &[Step], arch: u32, number: u32) -> Option<Target> {
    let (mut at, mut loaded) = (0, None);
    loop {
        at = match *steps.get(at)? {
            Step::Load(ARCH) => {
                loaded = Some(arch);
                at + 1
            }
            Step::Load(NUMBER) => {
                loaded = Some(number);
                at + 1
            }
            Step::Load(_) => return Some(Target::Arguments(at)),
            Step::Jump(by) => at + 1 + by,
            Step::If { compare, value, to } => {
                let [then, otherwise] = to;
                at + 1
                    + if compare.holds(loaded?, value) {
                        then
                    } else {
                        otherwise
                    }
            }
            Step::Return(verdict) => return Some(Target::Verdict(verdict)),
            Step::And(_) | Step::Other => return None,
        };
    }
}

/// What is done about the calls of one architecture.
fn of_arch(steps: &[Step], starts: &BTreeSet<u32>, arch: u32) -> Option<Vec<Out>> {
    let mut ranges: Vec<(u32, Target)> = Vec::new();
    for start in starts {
        let target = decide(steps, arch, *start)?;
        if ranges.last().is_none_or(|(_, last)| *last != target) {
            ranges.push((*start, target));
        }
    }
    let mut part = vec![Out::Instruction(Instruction::load(NUMBER))];
    part.extend(tree(&ranges)?);
    Some(part)
}

/// Finds the range that the number is in, the first of which has all that is less than the second.
fn tree(ranges: &[(u32, Target)]) -> Option<Vec<Out>> {
    if let Some(small) = small_tree(ranges) {
        return Some(small);
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (start, _) = right.first()?;
    let (left, right) = (tree(left)?, tree(right)?);
    let past = Instruction::jump(u32::try_from(left.len()).ok()?);
    let mut out = vec![
        Out::Instruction(Instruction::if_at_least(*start, 0, 1)),
        Out::Instruction(past),
    ];
    out.extend(left);
    out.extend(right);
    Some(out)
}

/// A comparison, and where it leads.
struct Node {
    start: u32,
    left: Place,
    right: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Node(usize),
    /// So many after all nodes.
    End(usize),
}

/// One whose ends, each there once, can be reached from all its nodes. None for one that is too big.
fn small_tree(ranges: &[(u32, Target)]) -> Option<Vec<Out>> {
    let mut ends: Vec<Target> = Vec::new();
    for (_, target) in ranges {
        if !ends.contains(target) {
            ends.push(*target);
        }
    }
    let mut nodes = Vec::new();
    plant(ranges, &ends, &mut nodes)?;
    let mut out = Vec::with_capacity(nodes.len() + ends.len());
    for (at, node) in nodes.iter().enumerate() {
        let distance = |place| {
            let place = match place {
                Place::Node(node) => node,
                Place::End(end) => nodes.len() + end,
            };
            u8::try_from(place - at - 1).ok()
        };
        let (left, right) = (distance(node.left)?, distance(node.right)?);
        out.push(Out::Instruction(Instruction::if_at_least(
            node.start, right, left,
        )));
    }
    out.extend(ends.into_iter().map(|end| match end {
        Target::Verdict(verdict) => Out::Instruction(Instruction::give(verdict)),
        Target::Arguments(at) => Out::Original(at),
    }));
    Some(out)
}

/// Adds the nodes for some ranges, each before those it leads to.
fn plant(ranges: &[(u32, Target)], ends: &[Target], nodes: &mut Vec<Node>) -> Option<Place> {
    if let [(_, target)] = ranges {
        return ends.iter().position(|end| end == target).map(Place::End);
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (at, (start, _)) = (nodes.len(), *right.first()?);
    nodes.push(Node {
        start,
        left: Place::End(0),
        right: Place::End(0),
    });
    nodes[at].left = plant(left, ends, nodes)?;
    nodes[at].right = plant(right, ends, nodes)?;
    Some(Place::Node(at))
}

/// With those of the original's instructions that are jumped to, and all that they lead to, in their order.
fn with_originals(out: Vec<Out>, program: &[Instruction], steps: &[Step]) -> Option<Vec<Instruction>> {
    let mut needed = BTreeSet::new();
    let mut ahead: Vec<usize> = out.iter().filter_map(Out::original).collect();
    while let Some(at) = ahead.pop() {
        if needed.insert(at) {
            ahead.extend(steps.get(at)?.next(at));
        }
    }
    let places: BTreeMap<usize, usize> = needed.iter().copied().zip(out.len()..).collect();
    let distance = |from: usize, to: &usize| places.get(to)?.checked_sub(from + 1);
    let mut whole = Vec::with_capacity(out.len() + needed.len());
    for (at, out) in out.iter().enumerate() {
        whole.push(match out {
            Out::Instruction(instruction) => *instruction,
            Out::Original(to) => Instruction::jump(u32::try_from(distance(at, to)?).ok()?),
        });
    }
    for (old, new) in &places {
        whole.push(match steps.get(*old)? {
            Step::Jump(by) => Instruction::jump(u32::try_from(distance(*new, &(old + 1 + by))?).ok()?),
            Step::If { to, .. } => {
                let [then, otherwise] = to.map(|by| distance(*new, &(old + 1 + by)));
                let short = |distance: Option<usize>| u8::try_from(distance?).ok();
                program.get(*old)?.led(short(then)?, short(otherwise)?)
            }
            _ => *program.get(*old)?,
        });
    }
    Some(whole)
}

impl Out {
    fn original(&self) -> Option<usize> {
        match self {
            Self::Instruction(_) => None,
            Self::Original(at) => Some(*at),
        }
    }
}

#[cfg(test)]
mod tests {
    use orch_core::random::Random;

    use super::*;
    use crate::seccomp::compile::tests::{exported, rules};

    /// What a program says of a call: its number, its architecture and eight words of what else is known of it.
    fn verdict(program: &[Instruction], call: &[u32]) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            at += 1;
            match program[at - 1].step() {
                Step::Load(offset) => loaded = call[offset as usize / 4],
                Step::Jump(by) => at += by,
                Step::If { compare, value, to } => {
                    let [then, otherwise] = to;
                    at += if compare.holds(loaded, value) {
                        then
                    } else {
                        otherwise
                    };
                }
                Step::And(value) => loaded &= value,
                Step::Return(verdict) => return verdict,
                Step::Other => panic!("{:?}", program[at - 1]),
            }
        }
    }

    #[test]
    fn what_is_folded_says_the_same_of_every_call() {
        for capabilities in [&[][..], &["CAP_SYS_ADMIN"], &["CAP_SYS_PTRACE", "CAP_BPF"]] {
            let program = exported(&rules(capabilities));
            let small = fold(program.clone());
            assert!(
                small.len() * 7 < 2 * program.len(),
                "{} of {}",
                small.len(),
                program.len()
            );
            let steps: Vec<_> = program.iter().map(|instruction| instruction.step()).collect();
            let Compared { archs, numbers } = compared(&steps).unwrap();
            let values = steps.iter().filter_map(|step| match step {
                Step::If { value, .. } => Some(*value),
                _ => None,
            });
            let values: Vec<u32> = values.collect();
            let random = Random::seeded(1);
            for arch in archs.into_iter().chain([0, 7]) {
                let near = numbers
                    .iter()
                    .flat_map(|number| [number.wrapping_sub(1), *number, number.wrapping_add(1)]);
                for number in near.chain([0, u32::MAX]) {
                    for _ in 0..5 {
                        let mut call = vec![number, arch];
                        call.extend((2..16).map(|_| match random.below(3) {
                            0 => 0,
                            1 => values[random.below(values.len() as u64) as usize],
                            _ => random.below(1 << 32) as u32,
                        }));
                        assert_eq!(verdict(&small, &call), verdict(&program, &call), "{call:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_tree_too_big_for_short_jumps_finds_every_range_too() {
        let target = |start: u32| Target::Verdict(start.wrapping_mul(7) % 300);
        let ranges: Vec<_> = (0..700).map(|start| (start * 2, target(start))).collect();
        assert!(small_tree(&ranges).is_none());
        let mut program = vec![Out::Instruction(Instruction::load(NUMBER))];
        program.extend(tree(&ranges).unwrap());
        let program = with_originals(program, &[], &[]).unwrap();
        for number in 0..1400 {
            assert_eq!(
                Target::Verdict(verdict(&program, &[number])),
                target(number / 2),
                "{number}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        let odd = vec![
            Instruction::load(NUMBER),
            Instruction::read(&[0x07, 0, 0, 0, 0, 0, 0, 0])[0],
            Instruction::refuse(1),
        ];
        assert_eq!(odd[1].step(), Step::Other);
        assert_eq!(fold(odd.clone()), odd);
        // It leads past its end.
        let broken = vec![Instruction::load(ARCH), Instruction::if_equal(1, 9, 9)];
        assert_eq!(fold(broken.clone()), broken);
    }
}
