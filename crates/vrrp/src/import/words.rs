//! Words and quotes.

/// A word, and whether it was quoted: a quoted brace is no brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// Splits a line at white space outside of quotes.
pub(super) fn split(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut current: Option<Word> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => words.extend(current.take()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word(&mut current).quoted = true;
            }
            ('\\', _) => word(&mut current).text.extend(escaped(&mut characters)),
            _ => word(&mut current).text.push(c),
        }
    }
    words.extend(current);
    words
}

fn word(current: &mut Option<Word>) -> &mut Word {
    current.get_or_insert_with(|| Word { text: String::new(), quoted: false })
}

fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        other => other,
    })
}

/// The program and the arguments of a script: what one quoted string holds is split once more.
pub(super) fn command(words: &[String]) -> Vec<String> {
    words.iter().flat_map(|word| split(word)).map(|word| word.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(texts("abcd\" efg h jkl \"mnop"), ["abcd efg h jkl mnop"]);
        assert_eq!(texts("abcd \"efg h jkl\" mnop"), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(texts(r#"a \"b\" c\ d"#), ["a", "\"b\"", "c d"]);
        assert_eq!(texts("x \"\" y"), ["x", "", "y"]);
        assert!(split("\"{\"")[0].quoted);
    }

    #[test]
    fn a_command_in_quotes_is_split_again() {
        let words = vec!["/bin/a -x 'b c'".to_owned(), "d".to_owned()];
        assert_eq!(command(&words), ["/bin/a", "-x", "b c", "d"]);
    }
}
