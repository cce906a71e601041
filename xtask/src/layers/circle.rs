//! Circles in a graph, and the ties to cut so that it becomes layers.

use std::collections::{BTreeMap, BTreeSet};

/// From node to node, with how many names tie them.
pub type Graph<N> = BTreeMap<(N, N), usize>;

/// Nodes that all reach each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle<N> {
    /// In the order in which they would be layers, the uppermost first.
    pub nodes: Vec<N>,
    /// The ties from a lower to an upper one: without them there is no circle.
    pub upward: Vec<(N, N)>,
}

/// All circles. A node that names itself is none.
pub fn circles<N: Ord + Clone>(graph: &Graph<N>) -> Vec<Circle<N>> {
    let nodes: BTreeSet<&N> = graph.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&N, BTreeSet<&N>> =
        nodes.iter().map(|node| (*node, reached(graph, node))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for node in &nodes {
        let group: BTreeSet<&N> = reached[node]
            .iter()
            .copied()
            .filter(|other| other != node && reached[other].contains(node))
            .chain([*node])
            .collect();
        if group.len() > 1 && seen.insert(*node) {
            seen.extend(&group);
            circles.push(arranged(graph, group));
        }
    }
    circles
}

/// What can be reached from a node.
fn reached<'a, N: Ord>(graph: &'a Graph<N>, from: &'a N) -> BTreeSet<&'a N> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        let next = graph.keys().filter(|(from, _)| from == node).map(|(_, to)| to);
        open.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}

/// Puts the nodes of a circle into an order with few names that lead upwards. The best order is
/// costly to find; this one takes from the top, each time, the node that imports the most and is
/// imported the least.
fn arranged<N: Ord + Clone>(graph: &Graph<N>, mut group: BTreeSet<&N>) -> Circle<N> {
    let ties: Vec<(&N, &N, isize)> = graph
        .iter()
        .filter(|((from, to), _)| from != to && group.contains(from) && group.contains(to))
        .map(|((from, to), names)| (from, to, names.cast_signed()))
        .collect();
    let mut nodes: Vec<N> = Vec::new();
    while let Some(top) = group.iter().copied().max_by_key(|node| {
        let left = ties.iter().filter(|(from, to, _)| group.contains(from) && group.contains(to));
        let (mut out, mut into) = (0, 0);
        for (from, to, names) in left {
            out += if from == node { *names } else { 0 };
            into += if to == node { *names } else { 0 };
        }
        (into == 0, out - into)
    }) {
        group.remove(top);
        nodes.push(top.clone());
    }
    let place = |node: &N| nodes.iter().position(|other| other == node);
    let upward = ties.iter().filter(|(from, to, _)| place(from) > place(to));
    let upward = upward.map(|(from, to, _)| ((*from).clone(), (*to).clone())).collect();
    Circle { nodes, upward }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(ties: &[(&'static str, &'static str, usize)]) -> Graph<&'static str> {
        ties.iter().map(|(from, to, names)| ((*from, *to), *names)).collect()
    }

    #[test]
    fn layers_have_no_circle() {
        assert!(circles(&graph(&[("a", "b", 1), ("a", "c", 1), ("b", "c", 1)])).is_empty());
    }

    #[test]
    fn each_circle_is_found_and_the_weakest_tie_named() {
        let graph = graph(&[
            ("a", "b", 3),
            ("b", "c", 3),
            ("c", "a", 1),
            ("c", "x", 1),
            ("x", "y", 1),
            ("y", "x", 5),
        ]);
        let found = circles(&graph);
        let first = Circle { nodes: vec!["a", "b", "c"], upward: vec![("c", "a")] };
        let second = Circle { nodes: vec!["y", "x"], upward: vec![("x", "y")] };
        assert_eq!(found, [first, second]);
    }
}
