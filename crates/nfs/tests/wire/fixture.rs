//! Messages written down as text.
//!
//! A file has the messages of one procedure: `[name]`, then a field per line in hexadecimal
//! digits, with a comment behind `#`. A line with `@name` stands for a piece of `pieces.txt`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use standfast_rpc::xdr::{Decode, Encode, from_bytes, to_bytes};

/// The messages of one procedure; each must be used before this is dropped.
pub(crate) struct Fixture {
    file: PathBuf,
    unused: BTreeMap<String, Bytes>,
}

impl Fixture {
    /// The messages in `DIRECTORY/NAME.txt`.
    pub(crate) fn read(directory: &str, name: &str) -> Self {
        let pieces = sections(&root().join("pieces.txt"), &BTreeMap::new());
        let file = root().join(directory).join(name).with_extension("txt");
        let unused = sections(&file, &pieces);
        Self { file, unused }
    }

    /// The bytes of a message.
    pub(crate) fn take(&mut self, section: &str) -> Bytes {
        let found = self.unused.remove(section);
        assert!(found.is_some(), "{} has no [{section}] left", self.file.display());
        found.unwrap_or_default()
    }

    /// A message is written as it is here, and read from that.
    pub(crate) fn is<T: Encode + Decode + PartialEq + Debug>(&mut self, section: &str, value: &T) {
        let bytes = self.take(section);
        let place = format!("[{section}] of {}", self.file.display());
        assert_eq!(to_bytes(value), bytes, "{place}: {value:?}");
        assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value), "{place}");
        for length in 0..bytes.len() {
            let short = from_bytes::<T>(&bytes.slice(..length));
            assert!(short.is_err(), "{length} bytes are no {place}");
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.unused.is_empty(), "{}: {:?}", self.file.display(), self.unused);
        }
    }
}

/// The names of the files in a directory, in their order.
pub(crate) fn names(directory: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join(directory)).expect("the directory is there");
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("the directory can be read").path();
        path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
    };
    let mut names: Vec<_> = files.map(name).collect();
    names.sort();
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

/// The sections of a file; each may use `pieces` and the sections before it.
fn sections(file: &Path, pieces: &BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    let text = std::fs::read_to_string(file).expect("the file is there");
    let mut sections: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            current = name.to_owned();
            let before = sections.insert(current.clone(), Vec::new());
            assert_eq!(before, None, "[{name}] is twice in {}", file.display());
            continue;
        }
        let bytes = match line.strip_prefix('@') {
            None => hex(line),
            Some(piece) => {
                let earlier = sections.get(piece).cloned();
                let piece = earlier.or_else(|| pieces.get(piece).map(|bytes| bytes.to_vec()));
                assert!(piece.is_some(), "{line} of {} is unknown", file.display());
                piece.unwrap_or_default()
            }
        };
        if let Some(section) = sections.get_mut(&current) {
            section.extend(bytes);
        }
    }
    sections.into_iter().map(|(name, bytes)| (name, Bytes::from(bytes))).collect()
}

fn hex(words: &str) -> Vec<u8> {
    let word = |word| u32::from_str_radix(word, 16).expect("a word of eight digits");
    words.split_whitespace().flat_map(|digits| word(digits).to_be_bytes()).collect()
}
