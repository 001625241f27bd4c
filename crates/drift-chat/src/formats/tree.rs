//! Conversations that were told in several ways: from a tree of messages to one chat a branch.

use std::collections::HashMap;

use super::{Counts, Draft, KeptOut, Mark, Score, keep_out};
use crate::types::{Message, Role, Signal};

/// A tree may not unfold into more than so many chats, nor into more than so many messages.
const MOST_BRANCHES: usize = 1 << 10;
const MOST_MESSAGES: usize = 1 << 16;

/// A message of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub id: Option<String>,
    pub parent: Option<String>,
    /// None: the node holds nothing that the user saw; its children hang on what is above.
    pub message: Option<Message>,
    /// Feedback on this message; `Mark::message` is set when the branch is known.
    pub marks: Vec<Mark>,
    /// Feedback of this message on the assistant message before it.
    pub on_answer: Vec<Mark>,
}

/// Who wrote the branches of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told<'a> {
    /// One user, who went back; the branch through this node is the one that is shown. Where an
    /// answer has later siblings under the same user message, the user had it regenerated; where a
    /// user message has later siblings and its answer nothing below, the user reworded the request.
    ByUser { current: Option<&'a str> },
    /// Several people, who wrote alternatives: nobody went back.
    ByMany,
}

/// Every path from a root to a leaf, the one that is shown first.
///
/// `nodes` in the order of writing, parents anywhere; where none names a parent, each follows the
/// one before. Nodes on a cycle are counted as kept out.
pub(crate) fn branches(nodes: &[Node], told: Told, kept_out: &mut Counts) -> Vec<Draft> {
    let is_chain = nodes.iter().all(|node| node.parent.is_none());
    let tree = Tree::new(nodes);
    let mut reached = nodes.len();
    let mut paths = if is_chain {
        vec![(0..nodes.len()).collect()]
    } else {
        reached = 0;
        tree.paths(&mut reached, kept_out)
    };
    keep_out(kept_out, KeptOut::Branches, nodes.len().saturating_sub(reached));
    let current = match told {
        Told::ByUser { current } => current,
        Told::ByMany => None,
    };
    // the current node may have children that were never shown: the branch through it is the one
    let is_current =
        |path: &[usize]| current.is_some_and(|id| path.iter().rev().any(|&at| nodes[at].id.as_deref() == Some(id)));
    if let Some(at) = paths.iter().position(|path| is_current(path)) {
        let current = paths.remove(at);
        paths.insert(0, current);
    }
    let mut handed_out = vec![false; nodes.len()];
    let mut drafts = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let mut draft = Draft { branch: (number > 0).then(|| (number + 1).to_string()), ..Draft::default() };
        for &at in path {
            let node = &nodes[at];
            let Some(message) = &node.message else { continue };
            let index = draft.messages.len();
            if let Some(answer) = draft.messages.iter().rposition(|m| m.role == Role::Assistant) {
                draft.marks.extend(node.on_answer.iter().map(|mark| Mark { message: answer, ..mark.clone() }));
            }
            draft.messages.push(message.clone());
            draft.names.extend(node.id.iter().map(|id| (id.clone(), index)));
            draft.marks.extend(node.marks.iter().map(|mark| Mark { message: index, ..mark.clone() }));
            let deed = if is_chain || told == Told::ByMany { None } else { tree.deed(at) };
            draft.marks.extend(deed.map(|signal| Mark {
                message: index,
                name: String::new(),
                score: Score::Signal(signal),
                comment: None,
            }));
            if std::mem::replace(&mut handed_out[at], true) && draft.repeated == index {
                draft.repeated = index + 1;
            }
        }
        // a branch of hidden nodes alone adds nothing
        if draft.repeated < draft.messages.len() || number == 0 {
            drafts.push(draft);
        }
    }
    drafts
}

struct Tree<'a> {
    nodes: &'a [Node],
    /// Visible children by visible parent (`nodes.len()`: the root), in the order of writing.
    children: Vec<Vec<usize>>,
    parent: Vec<usize>,
    /// All children by parent, hidden ones too.
    below: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn new(nodes: &'a [Node]) -> Tree<'a> {
        let mut by_id = HashMap::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            if let Some(id) = node.id.as_deref() {
                by_id.entry(id).or_insert(at);
            }
        }
        let root = nodes.len();
        let (mut below, mut roots) = (vec![Vec::new(); nodes.len()], Vec::new());
        for (at, node) in nodes.iter().enumerate() {
            match node.parent.as_deref().and_then(|id| by_id.get(id)) {
                Some(&parent) => below[parent].push(at),
                None => roots.push(at),
            }
        }
        let (mut children, mut parent) = (vec![Vec::new(); nodes.len() + 1], vec![root; nodes.len()]);
        let mut open: Vec<(usize, usize)> = roots.iter().rev().map(|&at| (at, root)).collect();
        while let Some((at, above)) = open.pop() {
            let seen = nodes[at].message.is_some();
            if seen {
                children[above].push(at);
                parent[at] = above;
            }
            let above = if seen { at } else { above };
            open.extend(below[at].iter().rev().map(|&child| (child, above)));
        }
        Tree { nodes, children, parent, below, roots }
    }

    /// Depth first, children in order; `reached` counts the nodes that hang on a root.
    fn paths(&self, reached: &mut usize, kept_out: &mut Counts) -> Vec<Vec<usize>> {
        let (mut paths, mut messages) = (Vec::new(), 0);
        let mut path: Vec<usize> = Vec::new();
        let mut open: Vec<(usize, usize)> = self.roots.iter().rev().map(|&at| (at, 0)).collect();
        while let Some((at, depth)) = open.pop() {
            *reached += 1;
            path.truncate(depth);
            path.push(at);
            if self.below[at].is_empty() {
                messages += path.len();
                if paths.len() < MOST_BRANCHES && (paths.is_empty() || messages <= MOST_MESSAGES) {
                    paths.push(path.clone());
                } else {
                    keep_out(kept_out, KeptOut::Branches, 1);
                }
            }
            open.extend(self.below[at].iter().rev().map(|&child| (child, depth + 1)));
        }
        paths
    }

    /// What the user's going back says of the answer at `at`.
    fn deed(&self, at: usize) -> Option<Signal> {
        let role = |at: usize| self.nodes.get(at).and_then(|node| node.message.as_ref()).map(|message| message.role);
        if role(at) != Some(Role::Assistant) {
            return None;
        }
        let request = self.parent[at];
        let later = |role_of: Role, siblings: &[usize], at: usize| {
            let after = siblings.iter().skip_while(|&&sibling| sibling != at).skip(1);
            after.into_iter().any(|&sibling| role(sibling) == Some(role_of))
        };
        if role(request) == Some(Role::User) && later(Role::Assistant, &self.children[request], at) {
            return Some(Signal::Regenerated);
        }
        let above = *self.parent.get(request)?;
        let reworded = role(request) == Some(Role::User) && later(Role::User, &self.children[above], request);
        (reworded && self.children[at].is_empty()).then_some(Signal::Reworded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parent: &str, role: Option<Role>) -> Node {
        let message = role.map(|role| Message { role, content: id.to_string() });
        Node { id: Some(id.into()), parent: Some(parent.into()), message, ..Node::default() }
    }

    /// A branch's name, its length, and the signals at its messages.
    type Branch = (String, usize, Vec<(usize, Signal)>);

    fn told(nodes: &[Node], current: &str) -> Vec<Branch> {
        let texts = |draft: &Draft| draft.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join(" ");
        let signals = |draft: &Draft| {
            let signal = |mark: &Mark| match &mark.score {
                Score::Signal(signal) => (mark.message, signal.clone()),
                Score::Number(_) => unreachable!("no numbers here"),
            };
            draft.marks.iter().map(signal).collect()
        };
        let drafts = branches(nodes, Told::ByUser { current: Some(current) }, &mut Counts::new());
        drafts.iter().map(|draft| (texts(draft), draft.repeated, signals(draft))).collect()
    }

    const USER: Option<Role> = Some(Role::User);
    const ANSWER: Option<Role> = Some(Role::Assistant);

    #[test]
    fn every_branch_is_a_chat_and_going_back_is_a_signal() {
        // root, hidden system, u1 with two answers (the first regenerated), u2 reworded as u3
        let nodes = [
            node("root", "", None),
            node("system", "root", None),
            node("u1", "system", USER),
            node("a1", "u1", ANSWER),
            node("a2", "u1", ANSWER),
            node("u2", "a2", USER),
            node("a3", "u2", ANSWER),
            node("u3", "a2", USER),
            node("tool", "u3", None),
            node("a4", "tool", ANSWER),
        ];
        let expected = [
            ("u1 a2 u3 a4".to_string(), 0, vec![]),
            ("u1 a1".to_string(), 1, vec![(1, Signal::Regenerated)]),
            ("u1 a2 u2 a3".to_string(), 2, vec![(3, Signal::Reworded)]),
        ];
        assert_eq!(told(&nodes, "a4"), expected);
        // the order of writing does not matter where parents are named
        let mut turned = nodes.to_vec();
        turned.swap(0, 9);
        assert_eq!(told(&turned, "a4").len(), 3);
    }

    #[test]
    fn cycles_and_monsters_end() {
        let cycle = [node("a", "b", USER), node("b", "a", ANSWER), node("u", "", USER)];
        let mut kept_out = Counts::new();
        assert_eq!(branches(&cycle, Told::ByMany, &mut kept_out).len(), 1);
        assert_eq!(kept_out[&KeptOut::Branches], 2);
        // a chain with a leaf at every step would unfold into a square
        let mut chain = vec![node("0", "", USER)];
        for at in 1..5000 {
            chain.push(node(&at.to_string(), &(at - 1).to_string(), USER));
            chain.push(node(&format!("leaf {at}"), &(at - 1).to_string(), USER));
        }
        let mut kept_out = Counts::new();
        let drafts = branches(&chain, Told::ByMany, &mut kept_out);
        let messages: usize = drafts.iter().map(|draft| draft.messages.len()).sum();
        assert!(messages <= MOST_MESSAGES && drafts.len() <= MOST_BRANCHES);
        assert_eq!(drafts.len() as u64 + kept_out[&KeptOut::Branches], 5000);
    }
}
