//! The words of an exports(5) file.

use std::ops::Range;

use crate::diagnostic::Issues;

/// A piece of text without its quotes and escapes, that still knows where each byte was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) bytes: Vec<u8>,
    /// Where each byte begins in the file, and then where the word ends.
    places: Vec<usize>,
}

impl Word {
    /// The range of the file in which a range of the word was written.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        let at = |index: usize| self.places.get(index).or(self.places.last()).copied();
        let start = at(range.start).unwrap_or_default();
        start..at(range.end).unwrap_or(start).max(start)
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.place(0..self.bytes.len())
    }

    /// Splits off the last bytes.
    fn truncate(&mut self, length: usize, end: usize) {
        self.bytes.truncate(length);
        self.places.truncate(length);
        self.places.push(end);
    }
}

/// What a word is for.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// A path, a client, or default options that begin with `-`.
    Word(Word),
    /// The text in parentheses. `attached`: no white space is before it.
    Options { list: Word, attached: bool },
}

/// Cuts a file into lines and lines into tokens, as exportfs does.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A backslash at the end of a line joins the next one to it, in comments and quotes too.
    fn continuation(&self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        [b"\\\n".as_slice(), b"\\\r\n"]
            .iter()
            .find(|end| rest.starts_with(end))
            .map(|end| end.len())
    }

    /// The tokens of the next line that has any; `None` at the end of the file.
    pub(super) fn next_line(&mut self, issues: &mut Issues) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut after_space = true;
        while let Some(byte) = self.peek() {
            if let Some(length) = self.continuation() {
                self.at += length;
                after_space = true;
                continue;
            }
            match byte {
                b'\n' if !tokens.is_empty() => return Some(tokens),
                b'\n' | b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c' => {
                    self.at += 1;
                    after_space = true;
                }
                b'#' if after_space => self.comment(issues),
                b'(' if !tokens.is_empty() => {
                    tokens.push(self.options(!after_space, issues));
                    after_space = false;
                }
                _ => {
                    // Only a path may have parentheses in it.
                    let stop = if tokens.is_empty() { None } else { Some(b'(') };
                    tokens.push(Token::Word(self.word(stop, issues)));
                    after_space = false;
                }
            }
        }
        (!tokens.is_empty()).then_some(tokens)
    }

    fn comment(&mut self, issues: &mut Issues) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            if let Some(length) = self.continuation() {
                let message =
                    "the backslash at the end of this comment makes the next line part of it";
                issues.warn(self.at..self.at + 1, message);
                self.at += length;
            } else {
                self.at += 1;
            }
        }
    }

    /// A word up to white space, or up to `stop`, outside of quotes.
    fn word(&mut self, stop: Option<u8>, issues: &mut Issues) -> Word {
        let mut word = Word::default();
        let mut quote: Option<usize> = None;
        while let Some(byte) = self.peek() {
            if self.continuation().is_some() || byte == b'\n' {
                break;
            }
            if quote.is_none() && (byte.is_ascii_whitespace() || Some(byte) == stop) {
                break;
            }
            if byte == b'"' {
                quote = if quote.is_some() { None } else { Some(self.at) };
                self.at += 1;
                continue;
            }
            self.byte(byte, &mut word);
        }
        if let Some(start) = quote {
            issues.error(start..start + 1, "the quote is not closed in its line");
        }
        word.truncate(word.bytes.len(), self.at);
        word
    }

    /// One byte of a word, or a backslash with three octal digits that stands for one.
    fn byte(&mut self, byte: u8, word: &mut Word) {
        let escaped = match self.bytes.get(self.at..self.at + 4) {
            Some([b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7']) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        word.bytes.push(escaped.unwrap_or(byte));
        word.places.push(self.at);
        self.at += if escaped.is_some() { 4 } else { 1 };
    }

    /// The list from `(` to `)`.
    fn options(&mut self, attached: bool, issues: &mut Issues) -> Token {
        let open = self.at;
        self.at += 1;
        let mut list = self.word(Some(b')'), issues);
        let mut space = None;
        // White space ends the word although the list goes on: read on, to say so once.
        while let Some(byte) = self.peek().filter(|&byte| byte != b'\n') {
            if byte == b')' {
                self.at += 1;
                if let Some(space) = space {
                    let message = "white space inside a list of options";
                    issues.error(space, message).help("write the options without it: `(rw,sync)`");
                }
                self.after_list(issues);
                return Token::Options { list, attached };
            }
            if self.continuation().is_some() {
                break;
            }
            if byte.is_ascii_whitespace() {
                space.get_or_insert(self.at..self.at + 1);
                self.at += 1;
            } else {
                let more = self.word(Some(b')'), issues);
                list.truncate(list.bytes.len(), self.at);
                list.places.pop();
                list.bytes.extend(more.bytes);
                list.places.extend(more.places);
            }
        }
        issues.error(open..open + 1, "this list of options has no `)`");
        Token::Options { list, attached }
    }

    fn after_list(&self, issues: &mut Issues) {
        if self.peek().is_some_and(|byte| !byte.is_ascii_whitespace() && byte != b'\\') {
            let message = "white space is missing after the list of options";
            issues.error(self.at..self.at + 1, message);
        }
    }
}
