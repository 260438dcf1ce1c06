//! Lines and blocks.

use super::accounts::Accounts;
use super::finding::{Place, Verdict};
use super::read::Line;
use super::words::{Word, split};

/// How deep blocks may be.
const MOST_DEPTH: usize = 16;
/// What is not repeated in the account.
const SECRET: &str = "auth_pass";

/// A line, with the lines of its block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) words: Vec<String>,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// The first word.
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// The second word.
    pub(super) fn argument(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    /// All words after the first.
    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The first line of its block with this keyword.
    pub(super) fn child(&self, keyword: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.keyword() == keyword)
    }

    /// As it is shown to people.
    pub(super) fn shown(&self) -> String {
        if self.keyword() == SECRET { format!("{SECRET} ...") } else { self.words.join(" ") }
    }
}

/// Makes a tree of lines.
pub(super) fn parse(lines: &[Line], accounts: &mut Accounts) -> Vec<Node> {
    let mut stack: Vec<Vec<Node>> = vec![Vec::new()];
    for line in lines {
        let mut words = Vec::new();
        for word in split(&line.text) {
            match brace(&word) {
                None => words.push(word.text),
                Some('{') => {
                    push(&mut stack, &line.place, &mut words);
                    if stack.len() <= MOST_DEPTH {
                        stack.push(Vec::new());
                    } else {
                        accounts.add(&line.place, Verdict::Refused, &line.text, "it is too deep");
                    }
                }
                Some(_) => {
                    push(&mut stack, &line.place, &mut words);
                    close(&mut stack, line, accounts);
                }
            }
        }
        push(&mut stack, &line.place, &mut words);
    }
    while stack.len() > 1 {
        if let Some(line) = lines.last() {
            accounts.add(&line.place, Verdict::Refused, &line.text, "a block is not closed");
            close(&mut stack, line, accounts);
        }
    }
    stack.pop().unwrap_or_default()
}

fn brace(word: &Word) -> Option<char> {
    match word.text.as_str() {
        "{" if !word.quoted => Some('{'),
        "}" if !word.quoted => Some('}'),
        _ => None,
    }
}

fn push(stack: &mut [Vec<Node>], place: &Place, words: &mut Vec<String>) {
    if let Some(block) = stack.last_mut()
        && !words.is_empty()
    {
        let words = std::mem::take(words);
        block.push(Node { place: place.clone(), words, children: Vec::new() });
    }
}

fn close(stack: &mut Vec<Vec<Node>>, line: &Line, accounts: &mut Accounts) {
    if stack.len() < 2 {
        return accounts.add(&line.place, Verdict::Refused, &line.text, "it closes no block");
    }
    let children = stack.pop().unwrap_or_default();
    match stack.last_mut().and_then(|block| block.last_mut()) {
        Some(node) => node.children.extend(children),
        None => accounts.add(&line.place, Verdict::Refused, &line.text, "its block has no name"),
    }
}
