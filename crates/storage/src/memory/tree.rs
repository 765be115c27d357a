//! A B+ tree that shares what did not change: a copy is one pointer, and a change after it copies the nodes on its
//! path, once. So a snapshot per commit costs a few nodes and not the map, readers need no lock, and what no
//! snapshot sees any more is freed by reference counts.

use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// Rows in a leaf and children of an inner node, at most. Larger means fewer levels but more to copy per change.
const NODE_LEN_MAX: usize = 32;

/// Below this a node is joined with a neighbour that has room.
const NODE_LEN_LOW: usize = NODE_LEN_MAX / 4;

/// A key and its value in one allocation. They are copied in, because a caller's `Bytes` may be a small window of a
/// large network buffer that would be held as long as the row.
#[derive(Clone, Debug)]
pub struct Row {
    bytes: Bytes,
    key_len: usize,
}

impl Row {
    pub fn new(key: &[u8], value: &[u8]) -> Row {
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Row {
            bytes: bytes.into(),
            key_len: key.len(),
        }
    }

    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len]
    }

    pub fn value(&self) -> &[u8] {
        &self.bytes[self.key_len..]
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Row>),
    Inner(Vec<Child>),
}

/// Rows under `node` are at or after `low` and before the next child's `low`. The first child's `low` is never looked
/// at: its parent's bound is the one that holds.
#[derive(Clone, Debug)]
struct Child {
    low: Arc<[u8]>,
    node: Arc<Node>,
}

impl Clone for Node {
    /// With room for the change that is the reason for the copy.
    fn clone(&self) -> Node {
        fn roomy<T: Clone>(items: &[T]) -> Vec<T> {
            let mut copy = Vec::with_capacity(NODE_LEN_MAX);
            copy.extend_from_slice(items);
            copy
        }
        match self {
            Node::Leaf(rows) => Node::Leaf(roomy(rows)),
            Node::Inner(children) => Node::Inner(roomy(children)),
        }
    }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(rows) => rows.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Node::Leaf(rows) => rows.iter().map(Row::len).sum(),
            Node::Inner(children) => children.iter().map(|child| child.node.bytes()).sum(),
        }
    }
}

/// The map. `clone` is the snapshot.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Arc<Node>,
    bytes: u64,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            root: Arc::new(Node::Leaf(Vec::new())),
            bytes: 0,
        }
    }
}

impl Tree {
    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Inner(children) => node = &children[child_of(children, key)].node,
                Node::Leaf(rows) => {
                    let at = rows.binary_search_by(|row| row.key().cmp(key)).ok()?;
                    return Some(rows[at].bytes.slice(rows[at].key_len..));
                }
            }
        }
    }

    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        let row = Row::new(key, value);
        self.bytes += row.len();
        let mut replaced = 0;
        if let Some(right) = insert(&mut self.root, row, &mut replaced) {
            let left = Child {
                low: Arc::from([]),
                node: self.root.clone(),
            };
            self.root = Arc::new(Node::Inner(vec![left, right]));
        }
        self.bytes -= replaced;
    }

    pub fn remove(&mut self, key: &[u8]) {
        // Looked up first: a path would be copied for nothing if the key is missing.
        if self.get(key).is_some() {
            self.bytes -= remove(&mut self.root, key);
            self.lower_root();
        }
    }

    /// Removes the keys in `[start, end)`.
    pub fn remove_range(&mut self, start: &[u8], end: &[u8]) {
        let mut walk = self.walk();
        walk.seek(Bound::Included(start));
        if start < end && walk.next().is_some_and(|row| row.key() < end) {
            self.bytes -= remove_range(&mut self.root, start, end);
            self.lower_root();
        }
    }

    /// A walk that stands before the first row.
    pub fn walk(&self) -> Walk<'_> {
        let mut walk = Walk {
            root: &self.root,
            path: Vec::new(),
            rows: &[],
            at: 0,
        };
        walk.seek(Bound::Unbounded);
        walk
    }

    fn lower_root(&mut self) {
        while let Node::Inner(children) = &*self.root {
            self.root = match &children[..] {
                [] => Tree::default().root,
                [only] => only.node.clone(),
                _ => return,
            };
        }
    }
}

/// Which child `key` belongs under.
fn child_of(children: &[Child], key: &[u8]) -> usize {
    children[1..].partition_point(|child| &*child.low <= key)
}

/// Inserts or replaces; returns a new right neighbour of `node` if it had to be split.
fn insert(node: &mut Arc<Node>, row: Row, replaced: &mut u64) -> Option<Child> {
    match Arc::make_mut(node) {
        Node::Leaf(rows) => match rows.binary_search_by(|other| other.key().cmp(row.key())) {
            Ok(at) => {
                *replaced = rows[at].len();
                rows[at] = row;
                None
            }
            Err(at) => {
                let right = insert_split(rows, at, row)?;
                Some(Child {
                    low: right[0].key().into(),
                    node: Arc::new(Node::Leaf(right)),
                })
            }
        },
        Node::Inner(children) => {
            let at = child_of(children, row.key());
            let child = insert(&mut children[at].node, row, replaced)?;
            let right = insert_split(children, at + 1, child)?;
            Some(Child {
                low: right[0].low.clone(),
                node: Arc::new(Node::Inner(right)),
            })
        }
    }
}

/// Inserts, and splits off the right part if there is no room. Appending leaves the left part full: families that
/// grow at their end would otherwise fill half of each node.
fn insert_split<T>(items: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if items.len() < NODE_LEN_MAX {
        items.insert(at, item);
        return None;
    }
    let half = NODE_LEN_MAX / 2;
    let mut right = items.split_off(if at == NODE_LEN_MAX { at } else { half });
    if at > half {
        right.insert(at - items.len(), item);
    } else {
        items.insert(at, item);
    }
    Some(right)
}

/// Removes a row that is there; returns its bytes.
fn remove(node: &mut Arc<Node>, key: &[u8]) -> u64 {
    match Arc::make_mut(node) {
        Node::Leaf(rows) => match rows.binary_search_by(|row| row.key().cmp(key)) {
            Ok(at) => rows.remove(at).len(),
            Err(_) => 0,
        },
        Node::Inner(children) => {
            let at = child_of(children, key);
            let removed = remove(&mut children[at].node, key);
            tidy(children, at);
            removed
        }
    }
}

/// Removes `[start, end)`; whole subtrees are dropped without being copied. Returns the bytes removed.
fn remove_range(node: &mut Arc<Node>, start: &[u8], end: &[u8]) -> u64 {
    match Arc::make_mut(node) {
        Node::Leaf(rows) => {
            let from = rows.partition_point(|row| row.key() < start);
            let to = rows.partition_point(|row| row.key() < end);
            rows.drain(from..to).map(|row| row.len()).sum()
        }
        Node::Inner(children) => {
            let (from, to) = (child_of(children, start), child_of(children, end));
            let mut removed = remove_range(&mut children[from].node, start, end);
            if from < to {
                removed += remove_range(&mut children[to].node, start, end);
                removed += children
                    .drain(from + 1..to)
                    .map(|child| child.node.bytes())
                    .sum::<u64>();
            }
            tidy(children, from);
            removed
        }
    }
}

/// Drops the child at `at` and the one after it if they are empty, and joins those left there with a neighbour if
/// one of the two is nearly empty. The keys of a dropped child fall to its left neighbour, or to the new first one.
fn tidy(children: &mut Vec<Child>, at: usize) {
    for at in [at + 1, at] {
        if children.get(at).is_some_and(|child| child.node.len() == 0) {
            children.remove(at);
        }
    }
    for left in [at + 1, at, at.wrapping_sub(1)] {
        let (Some(a), Some(b)) = (children.get(left), children.get(left.wrapping_add(1))) else {
            continue;
        };
        let (a, b) = (a.node.len(), b.node.len());
        if a.min(b) < NODE_LEN_LOW && a + b <= NODE_LEN_MAX {
            let right = children.remove(left + 1);
            join(&mut children[left].node, right);
        }
    }
}

/// Appends the contents of `right` to its left neighbour, which is on the same level.
fn join(left: &mut Arc<Node>, right: Child) {
    match (Arc::make_mut(left), Arc::unwrap_or_clone(right.node)) {
        (Node::Leaf(left), Node::Leaf(rows)) => left.extend(rows),
        (Node::Inner(left), Node::Inner(mut children)) => {
            // It was a first child, whose bound is its parent's; from now on its own is looked at.
            children[0].low = right.low;
            left.extend(children);
        }
        _ => unreachable!("leaves are all on one level"),
    }
}

/// Stands between two rows.
pub struct Walk<'a> {
    root: &'a Node,
    /// Inner nodes above the leaf, and the child taken in each.
    path: Vec<(&'a [Child], usize)>,
    rows: &'a [Row],
    /// The row after the gap.
    at: usize,
}

impl<'a> Walk<'a> {
    /// Goes before the first row within the lower bound.
    pub fn seek(&mut self, bound: Bound<&[u8]>) {
        match bound {
            Bound::Unbounded => self.descend(|_| 0, |_| 0),
            Bound::Included(key) => {
                self.descend(|c| child_of(c, key), |r| r.partition_point(|row| row.key() < key))
            }
            Bound::Excluded(key) => self.descend(
                |c| child_of(c, key),
                |r| r.partition_point(|row| row.key() <= key),
            ),
        }
    }

    /// Goes behind the last row within the upper bound.
    pub fn seek_back(&mut self, bound: Bound<&[u8]>) {
        match bound {
            Bound::Unbounded => self.descend(|c| c.len() - 1, |r| r.len()),
            Bound::Included(key) => self.seek(Bound::Excluded(key)),
            Bound::Excluded(key) => self.seek(Bound::Included(key)),
        }
    }

    /// The row after the gap; the gap moves behind it.
    pub fn next(&mut self) -> Option<&'a Row> {
        while self.at == self.rows.len() {
            let (children, at) = self.ascend(|children, at| at + 1 < children.len())?;
            self.enter(&children[at + 1].node, at + 1, children, |_| 0, |_| 0);
        }
        self.at += 1;
        Some(&self.rows[self.at - 1])
    }

    /// The row before the gap; the gap moves before it.
    pub fn prev(&mut self) -> Option<&'a Row> {
        while self.at == 0 {
            let (children, at) = self.ascend(|_, at| at > 0)?;
            self.enter(
                &children[at - 1].node,
                at - 1,
                children,
                |c| c.len() - 1,
                |r| r.len(),
            );
        }
        self.at -= 1;
        Some(&self.rows[self.at])
    }

    /// Leaves the path at the lowest inner node where it could turn; changes nothing if there is none.
    fn ascend(&mut self, turns: impl Fn(&[Child], usize) -> bool) -> Option<(&'a [Child], usize)> {
        let level = self
            .path
            .iter()
            .rposition(|&(children, at)| turns(children, at))?;
        let turn = self.path[level];
        self.path.truncate(level);
        Some(turn)
    }

    fn enter(
        &mut self,
        node: &'a Node,
        at: usize,
        children: &'a [Child],
        pick: impl Fn(&[Child]) -> usize,
        gap: impl Fn(&[Row]) -> usize,
    ) {
        self.path.push((children, at));
        self.descend_from(node, pick, gap);
    }

    fn descend(&mut self, pick: impl Fn(&[Child]) -> usize, gap: impl Fn(&[Row]) -> usize) {
        self.path.clear();
        self.descend_from(self.root, pick, gap);
    }

    fn descend_from(
        &mut self,
        mut node: &'a Node,
        pick: impl Fn(&[Child]) -> usize,
        gap: impl Fn(&[Row]) -> usize,
    ) {
        loop {
            match node {
                Node::Inner(children) => {
                    let at = pick(children);
                    self.path.push((children, at));
                    node = &children[at].node;
                }
                Node::Leaf(rows) => {
                    (self.rows, self.at) = (rows, gap(rows));
                    return;
                }
            }
        }
    }
}
