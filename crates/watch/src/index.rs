//! Which watchers watch a key: a hash map for single keys, an interval tree for ranges.
//!
//! The tree is a treap ordered by (start, end) in which every node knows the largest end below it; looking a key up
//! visits only subtrees that can hold it. Watchers of the same range share a node, and every watcher knows its slot in
//! the node's list, so that one among many is removed in constant time.

use bytes::Bytes;
use model::KeyRange;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Number of a watcher in the hub's table.
pub(crate) type Id = u32;

#[derive(Default)]
pub(crate) struct Index {
    keys: HashMap<Bytes, Vec<Id>>,
    ranges: Ranges,
}

impl Index {
    /// Adds a watcher and says in which slot, which [`Index::remove`] wants back.
    pub fn insert(&mut self, range: &KeyRange, id: Id) -> u32 {
        let ids = match range {
            KeyRange::Single(key) => self.keys.entry(key.clone()).or_default(),
            KeyRange::Interval(start, end) => self.ranges.entry(start, End::Before(end.clone())),
            KeyRange::From(start) => self.ranges.entry(start, End::Open),
        };
        ids.push(id);
        (ids.len() - 1) as u32
    }

    /// Takes the watcher out of its slot; returns the watcher that was moved into the slot, if any.
    pub fn remove(&mut self, range: &KeyRange, slot: u32) -> Option<Id> {
        match range {
            KeyRange::Single(key) => {
                let ids = self.keys.get_mut(key)?;
                let moved = take_slot(ids, slot);
                if ids.is_empty() {
                    self.keys.remove(key);
                }
                moved
            }
            KeyRange::Interval(start, end) => self.ranges.remove(start, &End::Before(end.clone()), slot),
            KeyRange::From(start) => self.ranges.remove(start, &End::Open, slot),
        }
    }

    /// Calls `found` with the watchers of `key`, in groups.
    pub fn matching(&self, key: &[u8], mut found: impl FnMut(&[Id])) {
        if let Some(ids) = self.keys.get(key) {
            found(ids);
        }
        self.ranges.stab(self.ranges.root, key, &mut found);
    }

    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.root == NIL
    }
}

fn take_slot(ids: &mut Vec<Id>, slot: u32) -> Option<Id> {
    let slot = slot as usize;
    if slot < ids.len() {
        ids.swap_remove(slot);
    }
    ids.get(slot).copied()
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    Before(Bytes),
    Open,
}

impl End {
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            End::Before(end) => key < &end[..],
            End::Open => true,
        }
    }
}

const NIL: u32 = u32::MAX;

struct Node {
    start: Bytes,
    end: End,
    /// The largest end in this subtree.
    reach: End,
    priority: u64,
    left: u32,
    right: u32,
    ids: Vec<Id>,
}

struct Ranges {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    /// State of the generator of priorities. Seeded by chance: with known priorities a client could choose its ranges
    /// so that the tree becomes a list.
    chance: u64,
}

impl Default for Ranges {
    fn default() -> Ranges {
        Ranges {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NIL,
            chance: RandomState::new().build_hasher().finish() | 1,
        }
    }
}

impl Ranges {
    fn entry(&mut self, start: &Bytes, end: End) -> &mut Vec<Id> {
        let node = match self.find(start, &end) {
            Some(node) => node,
            None => {
                let node = self.allocate(start.clone(), end);
                self.root = self.insert(self.root, node);
                node
            }
        };
        &mut self.nodes[node as usize].ids
    }

    fn remove(&mut self, start: &Bytes, end: &End, slot: u32) -> Option<Id> {
        let node = self.find(start, end)?;
        let moved = take_slot(&mut self.nodes[node as usize].ids, slot);
        if self.nodes[node as usize].ids.is_empty() {
            self.root = self.unlink(self.root, node);
            let freed = &mut self.nodes[node as usize];
            freed.start = Bytes::new();
            freed.end = End::Open;
            freed.reach = End::Open;
            freed.ids = Vec::new();
            self.free.push(node);
        }
        moved
    }

    fn stab(&self, at: u32, key: &[u8], found: &mut impl FnMut(&[Id])) {
        if at == NIL {
            return;
        }
        let node = &self.nodes[at as usize];
        if !node.reach.is_after(key) {
            return;
        }
        self.stab(node.left, key, found);
        if key >= &node.start[..] {
            if node.end.is_after(key) {
                found(&node.ids);
            }
            self.stab(node.right, key, found);
        }
    }

    fn find(&self, start: &Bytes, end: &End) -> Option<u32> {
        let mut at = self.root;
        while at != NIL {
            let node = &self.nodes[at as usize];
            at = match (start, end).cmp(&(&node.start, &node.end)) {
                Ordering::Less => node.left,
                Ordering::Greater => node.right,
                Ordering::Equal => return Some(at),
            };
        }
        None
    }

    fn allocate(&mut self, start: Bytes, end: End) -> u32 {
        // xorshift64: any spread will do.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let node = Node {
            start,
            reach: end.clone(),
            end,
            priority: self.chance,
            left: NIL,
            right: NIL,
            ids: Vec::new(),
        };
        match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn insert(&mut self, at: u32, new: u32) -> u32 {
        if at == NIL {
            return new;
        }
        if self.nodes[new as usize].priority > self.nodes[at as usize].priority {
            let (left, right) = self.split(at, new);
            self.nodes[new as usize].left = left;
            self.nodes[new as usize].right = right;
            self.update(new);
            return new;
        }
        if self.precedes(new, at) {
            self.nodes[at as usize].left = self.insert(self.nodes[at as usize].left, new);
        } else {
            self.nodes[at as usize].right = self.insert(self.nodes[at as usize].right, new);
        }
        self.update(at);
        at
    }

    /// Parts a subtree into what is ordered before and after `new`.
    fn split(&mut self, at: u32, new: u32) -> (u32, u32) {
        if at == NIL {
            return (NIL, NIL);
        }
        if self.precedes(new, at) {
            let (left, right) = self.split(self.nodes[at as usize].left, new);
            self.nodes[at as usize].left = right;
            self.update(at);
            (left, at)
        } else {
            let (left, right) = self.split(self.nodes[at as usize].right, new);
            self.nodes[at as usize].right = left;
            self.update(at);
            (at, right)
        }
    }

    fn unlink(&mut self, at: u32, gone: u32) -> u32 {
        if at == NIL {
            return NIL;
        }
        if at == gone {
            return self.join(self.nodes[at as usize].left, self.nodes[at as usize].right);
        }
        if self.precedes(gone, at) {
            self.nodes[at as usize].left = self.unlink(self.nodes[at as usize].left, gone);
        } else {
            self.nodes[at as usize].right = self.unlink(self.nodes[at as usize].right, gone);
        }
        self.update(at);
        at
    }

    /// Makes one tree of two, all of `left` being ordered before all of `right`.
    fn join(&mut self, left: u32, right: u32) -> u32 {
        if left == NIL {
            return right;
        }
        if right == NIL {
            return left;
        }
        if self.nodes[left as usize].priority > self.nodes[right as usize].priority {
            self.nodes[left as usize].right = self.join(self.nodes[left as usize].right, right);
            self.update(left);
            left
        } else {
            self.nodes[right as usize].left = self.join(left, self.nodes[right as usize].left);
            self.update(right);
            right
        }
    }

    fn precedes(&self, one: u32, other: u32) -> bool {
        let (one, other) = (&self.nodes[one as usize], &self.nodes[other as usize]);
        (&one.start, &one.end) < (&other.start, &other.end)
    }

    fn update(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let mut reach = &node.end;
        for child in [node.left, node.right] {
            if child != NIL {
                reach = reach.max(&self.nodes[child as usize].reach);
            }
        }
        if *reach != node.reach {
            self.nodes[at as usize].reach = reach.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(kind: u8, start: u8, end: u8) -> KeyRange {
        let key = |byte: u8| Bytes::copy_from_slice(&[byte]);
        match kind % 3 {
            0 => KeyRange::Single(key(start)),
            1 => KeyRange::Interval(key(start), key(end.max(start) + 1)),
            _ => KeyRange::From(key(start)),
        }
    }

    fn found(index: &Index, key: &[u8]) -> Vec<Id> {
        let mut found = Vec::new();
        index.matching(key, |ids| found.extend_from_slice(ids));
        found.sort();
        found
    }

    proptest! {
        #[test]
        fn finds_what_a_list_would_find(
            steps in prop::collection::vec((any::<bool>(), any::<u8>(), 0u8..20, 0u8..20), 1..200)
        ) {
            let mut index = Index::default();
            let mut list: Vec<(Id, KeyRange, u32)> = Vec::new();
            for (number, (add, kind, start, end)) in steps.into_iter().enumerate() {
                if add || list.is_empty() {
                    let range = range(kind, start, end);
                    let slot = index.insert(&range, number as Id);
                    list.push((number as Id, range, slot));
                } else {
                    let (_, range, slot) = list.swap_remove((start as usize * 20 + end as usize) % list.len());
                    if let Some(moved) = index.remove(&range, slot) {
                        list.iter_mut().find(|entry| entry.0 == moved).unwrap().2 = slot;
                    }
                }
                for key in 0..22u8 {
                    let mut wanted: Vec<Id> = list.iter().filter(|e| e.1.contains(&[key])).map(|e| e.0).collect();
                    wanted.sort();
                    prop_assert_eq!(found(&index, &[key]), wanted);
                }
            }
        }
    }

    #[test]
    fn an_emptied_index_holds_nothing() {
        let mut index = Index::default();
        for start in 0..100 {
            index.insert(&range(1, start, start + 3), start as Id);
        }
        for start in 0..100 {
            assert_eq!(index.remove(&range(1, start, start + 3), 0), None);
        }
        assert!(index.is_empty());
        assert_eq!(index.ranges.free.len(), 100);
    }
}
