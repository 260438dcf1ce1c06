//! Files in the syntax of exports(5), read as exportfs(8) reads them.

mod tokens;

use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::danger::warn_of_rule;
use crate::diagnostic::{Diagnostic, Issues, Placed, Source};
use crate::export_path::normal_path;
use crate::options::{ExportOptions, MountPoint, OptionSet, read_options};
use crate::{ClientAccess, ClientMatch, ClientRule, ExportSettings};
use tokens::{Token, Tokens, Word};

/// Reads a file in the syntax of exports(5). Lines of the same path are one export. What cannot
/// be read is left out and named by an error.
pub fn parse_exports(source: &Source) -> (Vec<ExportSettings>, Vec<Diagnostic>) {
    let mut exports = Vec::new();
    let diagnostics = read_exports(source, &mut exports);
    (exports.into_iter().map(|export| export.value).collect(), diagnostics)
}

/// Adds the lines of a file to the exports of those before it.
pub(crate) fn read_exports(
    source: &Source,
    exports: &mut Vec<Placed<ExportSettings>>,
) -> Vec<Diagnostic> {
    let mut issues = Issues::default();
    let mut known: HashMap<PathBuf, usize> =
        exports.iter().map(|export| export.value.path.clone()).zip(0..).collect();
    let mut tokens = Tokens::new(source.bytes());
    while let Some(line) = tokens.next_line(&mut issues) {
        let Some(line) = Line::read(line, &mut issues) else { continue };
        match known.get(&line.path).and_then(|&index| exports.get_mut(index)) {
            Some(export) => line.merge_into(export, &mut issues),
            None => {
                known.insert(line.path.clone(), exports.len());
                exports.push(line.into_export(source, &mut issues));
            }
        }
    }
    issues.locate(source)
}

/// A client of a line with its options.
struct LineClient {
    rule: ClientRule,
    export: ExportOptions,
    span: Range<usize>,
}

/// One line: a path and who may use it.
struct Line {
    path: PathBuf,
    path_span: Range<usize>,
    clients: Vec<LineClient>,
}

impl Line {
    fn read(tokens: Vec<Token>, issues: &mut Issues) -> Option<Self> {
        let mut tokens = tokens.into_iter();
        let Some(Token::Word(word)) = tokens.next() else { return None };
        let path_span = word.span();
        let path = read_path(word, issues);
        let mut reader = ClientReader::new(issues);
        for token in tokens {
            match token {
                Token::Word(word) if word.bytes.starts_with(b"-") => reader.defaults(&word),
                Token::Word(word) => reader.client(word),
                Token::Options { list, attached } => reader.options(&list, attached),
            }
        }
        let mut clients = reader.finish();
        if clients.is_none() {
            let message = "no client is named: everyone may read this export";
            issues.warn(path_span.clone(), message).help("write `*` if that is meant");
            let rule = ClientRule { client: ClientMatch::Anyone, access: ClientAccess::default() };
            let export = ExportOptions::default();
            clients = Some(vec![LineClient { rule, export, span: path_span.clone() }]);
        }
        Some(Self { path: path?, path_span, clients: clients.unwrap_or_default() })
    }

    fn into_export(self, source: &Source, issues: &mut Issues) -> Placed<ExportSettings> {
        let mut export = ExportSettings::new(self.path);
        let mut options: Option<ExportOptions> = None;
        for client in self.clients {
            let first = options.get_or_insert_with(|| client.export.clone());
            check_same(first, &client, issues);
            add_client(&mut export, client, issues);
        }
        let options = options.unwrap_or_default();
        export.fsid = options.fsid;
        export.cross_mounts = options.cross_mounts;
        export.mount_point = options.mount_point.map(|mount_point| match mount_point {
            MountPoint::Export => export.path.clone(),
            MountPoint::Path(path) => path,
        });
        Placed { value: export, place: source.place(self.path_span) }
    }

    fn merge_into(self, export: &mut Placed<ExportSettings>, issues: &mut Issues) {
        let first = export_options(&export.value);
        for client in self.clients {
            check_same(&first, &client, issues);
            add_client(&mut export.value, client, issues);
        }
    }
}

/// What the first line of an export said about it as a whole.
fn export_options(export: &ExportSettings) -> ExportOptions {
    let mount_point = export
        .mount_point
        .clone()
        .map(|path| if path == export.path { MountPoint::Export } else { MountPoint::Path(path) });
    ExportOptions { fsid: export.fsid, cross_mounts: export.cross_mounts, mount_point }
}

/// An export has one identity and one shape, whoever looks at it.
fn check_same(first: &ExportOptions, client: &LineClient, issues: &mut Issues) {
    for (name, same) in [
        ("fsid", first.fsid == client.export.fsid),
        ("crossmnt", first.cross_mounts == client.export.cross_mounts),
        ("mountpoint", first.mount_point == client.export.mount_point),
    ] {
        if !same {
            let message = format!("`{name}` must be the same for every client of an export");
            issues
                .error(client.span.clone(), message)
                .help("write it for each of them, or once as a default: `/path -OPTION client …`");
        }
    }
}

fn add_client(export: &mut ExportSettings, client: LineClient, issues: &mut Issues) {
    if export.clients.iter().any(|rule| rule.client == client.rule.client) {
        let name = &client.rule.client;
        let message = format!("`{name}` is named twice for this path; the first one holds");
        issues.warn(client.span, message);
        return;
    }
    warn_of_rule(&client.rule, client.span, issues);
    export.clients.push(client.rule);
}

fn read_path(word: Word, issues: &mut Issues) -> Option<PathBuf> {
    let span = word.span();
    if let Some(at) =
        word.bytes.iter().position(|&byte| byte == b'(').filter(|_| word.bytes.ends_with(b")"))
    {
        let message = "this is read as part of the path";
        issues
            .warn(word.place(at..word.bytes.len()), message)
            .help("put a space and a client before the list: `/path *(ro)`");
    }
    let path = normal_path(OsString::from_vec(word.bytes));
    path.map_err(|error| issues.error(span, error.to_string()).maybe_help(None)).ok()
}

/// Gathers the clients of a line.
struct ClientReader<'a> {
    issues: &'a mut Issues,
    defaults: OptionSet,
    /// A client whose options may follow.
    open: Option<Word>,
    clients: Vec<LineClient>,
    /// At least one client was written, even if it could not be read.
    any: bool,
}

impl<'a> ClientReader<'a> {
    fn new(issues: &'a mut Issues) -> Self {
        let defaults = OptionSet::new(&ClientAccess::default());
        Self { issues, defaults, open: None, clients: Vec::new(), any: false }
    }

    fn defaults(&mut self, word: &Word) {
        self.close();
        let mut set = self.defaults.clone();
        self.read_into(&mut set, word, 1);
        self.defaults = set;
    }

    fn client(&mut self, word: Word) {
        self.close();
        self.open = Some(word);
    }

    fn options(&mut self, list: &Word, attached: bool) {
        let client = if attached { self.open.take() } else { None };
        if let (None, Some(lonely)) = (&client, &self.open) {
            let name = String::from_utf8_lossy(&lonely.bytes).into_owned();
            let message = format!(
                "the space before this list gives it to everyone; `{name}` gets the default options"
            );
            self.issues.warn(list.span(), message).help(format!(
                "remove the space if `{name}` is meant; else write `*` before the list"
            ));
        } else if client.is_none() {
            let message = "this list has no client before it: it is for everyone";
            self.issues.warn(list.span(), message).help("write `*` before it if that is meant");
        }
        if client.is_none() {
            self.close();
        }
        let mut set = self.defaults.clone();
        self.read_into(&mut set, list, 0);
        let span = client.as_ref().map_or_else(|| list.span(), Word::span);
        match client {
            Some(word) => self.add(&word, &set),
            None => self.push(ClientMatch::Anyone, &set, span),
        }
    }

    /// Ends a client that has no options of its own.
    fn close(&mut self) {
        if let Some(word) = self.open.take() {
            let set = self.defaults.clone();
            self.add(&word, &set);
        }
    }

    fn finish(mut self) -> Option<Vec<LineClient>> {
        self.close();
        self.any.then_some(self.clients)
    }

    fn read_into(&mut self, set: &mut OptionSet, word: &Word, skip: usize) {
        let mut found = Issues::default();
        match word.bytes.get(skip..).map(std::str::from_utf8) {
            Some(Ok(text)) => read_options(text, set, &mut found),
            _ => _ = found.error(0..word.bytes.len(), "the options are not valid UTF-8"),
        }
        self.issues.absorb(found, |span| word.place(span.start + skip..span.end + skip));
    }

    fn add(&mut self, word: &Word, set: &OptionSet) {
        self.any = true;
        let text = String::from_utf8_lossy(&word.bytes);
        match text.parse() {
            Ok(client) => self.push(client, set, word.span()),
            Err(error) => _ = self.issues.error(word.span(), error.to_string()),
        }
    }

    fn push(&mut self, client: ClientMatch, set: &OptionSet, span: Range<usize>) {
        self.any = true;
        let rule = ClientRule { client, access: set.access() };
        self.clients.push(LineClient { rule, export: set.export.clone(), span });
    }
}
