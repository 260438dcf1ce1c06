//! The settings file: what it means, what is said about it, and what a reload changes.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use standfast_settings::{
    Applies, ByteSize, Fsid, GroupLookup, Loaded, LogFormat, PathState, Probe, Rpcbind, Settings,
    Source, Squash, changes, load, load_source,
};

/// A machine on which everything is in order.
struct FineMachine;

impl Probe for FineMachine {
    fn state(&self, _: &Path) -> PathState {
        PathState::Directory
    }
    fn is_mount_point(&self, _: &Path) -> bool {
        true
    }
    fn mode(&self, _: &Path) -> Option<u32> {
        Some(0o700)
    }
    fn export_obstacle(&self, _: &Path) -> Option<String> {
        None
    }
}

/// A machine on which nothing is.
struct PoorMachine;

impl Probe for PoorMachine {
    fn state(&self, path: &Path) -> PathState {
        match path.to_str() {
            Some("/file") => PathState::NotADirectory,
            Some("/hidden") => PathState::Hidden("Permission denied (os error 13)".into()),
            Some("/proc") => PathState::Directory,
            _ => PathState::Missing,
        }
    }
    fn is_mount_point(&self, _: &Path) -> bool {
        false
    }
    fn mode(&self, _: &Path) -> Option<u32> {
        Some(0o777)
    }
    fn export_obstacle(&self, path: &Path) -> Option<String> {
        (path == Path::new("/proc")).then(|| "proc cannot make file handles".into())
    }
}

/// An export that nothing is to be said about.
const EXPORT: &str = "[[export]]\npath = \"/srv\"\nallow = [\"10.0.0.0/8\"]\n";

fn read(text: &str) -> Loaded {
    load_source(Source::new("t", text), &FineMachine)
}

fn said_on(text: &str, probe: &dyn Probe) -> String {
    let loaded = load_source(Source::new("t", text), probe);
    loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn said(text: &str) -> String {
    said_on(text, &FineMachine)
}

fn settings(text: &str) -> Settings {
    let loaded = read(text);
    loaded.settings.unwrap_or_else(|| panic!("{text}: {:?}", loaded.diagnostics))
}

#[test]
fn every_setting_is_read() {
    let settings = settings(
        r#"
        [server]
        listen = ["10.1.2.3"]
        port = 12049
        mount_port = 0x4e4f
        rpcbind = "off"
        udp = false
        [limits]
        connections = 1_000
        bytes_per_connection = "8MiB"
        idle_timeout = "1h30m"
        [nlm]
        grace_period = "0s"
        [groups]
        lookup = "always"
        [log]
        format = "json"
        [metrics]
        listen = "[::1]:9469"
        [[export]]
        path = "/srv/data/"
        as = "/data"
        fsid = "12345678-1234-1234-1234-123456789abc"
        cross_mounts = true
        mount_point = true
        access = "rw"
        squash = "all"
        anon_uid = 1000
        clients = [{ match = "10.0.0.0/8", squash = "none" }, { match = "@g", access = "ro" }]
        allow = ["::1:no_all_squash,anongid=7"]
        "#,
    );
    assert_eq!(settings.server.listen, [Ipv4Addr::new(10, 1, 2, 3)]);
    assert_eq!((settings.server.port, settings.server.mount_port), (12049, Some(0x4e4f)));
    assert_eq!((settings.server.rpcbind, settings.server.udp), (Rpcbind::Off, false));
    assert_eq!(settings.limits.connections, 1000);
    assert_eq!(settings.limits.bytes_per_connection, ByteSize::mib(8));
    assert_eq!(settings.limits.idle_timeout, Duration::from_secs(5400));
    assert_eq!(settings.nlm.grace_period, Duration::ZERO);
    assert_eq!(settings.groups.lookup, GroupLookup::Always);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.metrics.listen, "[::1]:9469".parse().ok());
    let export = &settings.exports[0];
    assert_eq!(export.path, Path::new("/srv/data"));
    assert_eq!(export.export_path, Path::new("/data"));
    assert_eq!(export.fsid, Some(Fsid::Uuid(0x1234_5678_1234_1234_1234_1234_5678_9abc)));
    assert!(export.cross_mounts);
    assert_eq!(export.mount_point.as_deref(), Some(Path::new("/srv/data")));
    let access = |index: usize| &export.clients[index].access;
    assert_eq!(
        (access(0).read_only, access(0).squash, access(0).anon_uid),
        (false, Squash::None, 1000)
    );
    assert_eq!((access(1).read_only, access(1).squash), (true, Squash::All));
    assert_eq!((access(2).squash, access(2).anon_gid), (Squash::Root, 7));
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let text = r#"exprots_files = []
port = 2049
[server]
lisen = "::"
listen = ["::", "nowhere"]
udp = "yes"
port = 70000
[limts]
[limits]
connections = 0
idle_timeout = 5
reply_cache = "lots"
[groups]
lookup = "allways"
"#;
    let expected = "\
t:1:1: error: unknown setting `exprots_files`
  help: did you mean `exports_files`?
t:2:1: error: unknown setting `port`
  help: `port` belongs in [server]
t:4:1: error: unknown setting `lisen` in [server]
  help: did you mean `listen`?
t:5:17: error: `nowhere` is not an IP address
t:6:7: error: expected true or false, found a string
t:7:8: error: 70000 must be between 0 and 65535
t:8:2: error: unknown setting `limts`
  help: did you mean `limits`?
t:10:15: error: `connections` must be between 1 and 1000000
t:11:16: error: expected a duration such as \"10s\", found a number
t:12:15: error: `lots` is not a size; write a whole number and a unit, such as \"4MiB\"
t:14:10: error: `allways` is not one of \"auto\", \"always\", \"never\"
  help: did you mean `always`?";
    assert_eq!(said(&format!("{text}{EXPORT}")), expected);
}

#[test]
fn what_is_no_toml_is_said_with_its_place() {
    for (text, expected) in [
        ("[server\n", "t:1:8: error: unclosed table, expected `]`"),
        (
            "[server]\nport = \nudp = maybe\n",
            "t:2:8: error: string values must be quoted, expected literal string\n\
             t:3:7: error: string values must be quoted, expected literal string",
        ),
        ("[server]\nport = 1\nport = 2\n", "t:3:1: error: duplicate key"),
    ] {
        let said = said(text);
        let errors: Vec<_> = said.lines().filter(|line| line.contains("error")).collect();
        assert_eq!(errors.join("\n"), expected, "{text}");
    }
    let not_text = load_source(Source::new("t", b"\n[\xff".as_slice()), &FineMachine);
    assert_eq!(not_text.diagnostics[0].to_string(), "t:2:2: error: the file is not valid UTF-8");
}

#[test]
fn what_is_wrong_with_an_export_is_said_with_its_place() {
    for (text, expected) in [
        (
            "[[export]]\npath = \"/srv\"\n",
            "t:1:1: error: this export lets nobody in: `allow` is missing\n  help: add who may use \
             it, such as: allow = [\"10.0.0.0/8:rw\"]",
        ),
        (
            "[[export]]\nallow = \"h\"\n",
            "t:1:1: error: this export has no `path`\n  help: add the directory to export, such \
             as: path = \"/srv/data\"",
        ),
        (
            "[export]\npath = \"/srv\"\n",
            "t:1:1: error: expected tables that begin with [[export]], found a table",
        ),
        (
            "[[export]]\npath = \"/srv\"\nallow = [\"h\", \"10.0.0.0/8:rw,no_rot_squash\"]\n",
            "t:3:30: error: unknown option `no_rot_squash`\n  help: did you mean `no_root_squash`?",
        ),
        (
            "[[export]]\npath = \"/srv\"\nallow = [\"h\\u0031:rx\"]\n",
            "t:3:10: error: unknown option `rx`\n  help: did you mean `ro`?",
        ),
        (
            "[[export]]\npath = \"/srv\"\nallow = [\"h:fsid=1\", 7, \"h\", \"h\"]\n",
            "t:3:13: error: `fsid` is a setting of the export, not of one client\nt:3:22: error: \
             expected a rule such as \"10.0.0.0/8:rw\", found a number\nt:3:30: error: `h` is \
             named twice for this export\n  help: keep one of the two",
        ),
        (
            "[[export]]\npath = \"srv\"\nallow = \"h\"\nclients = [{ mach = \"i\" }]\n",
            "t:2:8: error: `srv` is not an absolute path; it must start with `/`\nt:4:12: error: \
             this client has no `match`\nt:4:14: error: unknown setting `mach` in a client\n  \
             help: did you mean `match`?",
        ),
        (
            "[[export]]\npath = \"/srv\"\nclients = [{ match = \"h\", squash = \"rot\", anon_uid = 4294967295 }]\n",
            "t:3:36: error: `rot` is not one of \"root\", \"all\", \"none\"\n  help: did you mean \
             `root`?\nt:3:54: error: `anon_uid` must be between 0 and 4294967294",
        ),
        (
            "[[export]]\npath = \"/srv\"\nallow = \"*:rw\"\n",
            "t:3:10: warning: every machine that reaches the server may write (`*`)\n  help: name \
             the networks or hosts that need it",
        ),
    ] {
        let said = said(text);
        let shown: Vec<_> = said
            .lines()
            .filter(|line| {
                !line.contains("nothing is exported") && !line.contains("an [[export]], or")
            })
            .collect();
        assert_eq!(shown.join("\n"), expected, "{text}");
    }
}

#[test]
fn findings_are_given_as_json_too() {
    let loaded =
        read("[server]\nprot = 1\n[[export]]\npath = \"/srv\"\nallow = \"h\"\nfsid = \"root\"\n");
    let expected = serde_json::json!([
        {
            "severity": "error", "file": "t", "line": 2, "column": 1,
            "span": { "start": 9, "end": 13 },
            "message": "unknown setting `prot` in [server]", "help": "did you mean `port`?",
        },
        {
            "severity": "note", "file": "t", "line": 4, "column": 8,
            "span": { "start": 36, "end": 42 },
            "message": "`fsid` 0 marks the root directory of NFSv4; over NFSv3 it is like any other",
            "help": null,
        },
    ]);
    assert_eq!(serde_json::to_value(&loaded.diagnostics).unwrap(), expected);
    let nowhere = load(Path::new("/no/such/file"), &FineMachine).diagnostics;
    let keys = serde_json::to_value(&nowhere[0]).unwrap();
    assert_eq!(keys.as_object().unwrap().len(), 3, "{keys}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    for (limits, expected) in [
        (
            "bytes_per_connection = \"1MiB\"",
            "t:2:24: error: `bytes_per_connection` (1MiB) must be at least 1088KiB: `max_read` and \
             64KiB around it\nt:2:24: error: `bytes_per_connection` (1MiB) must be at least \
             1088KiB: `max_write` and 64KiB around it",
        ),
        (
            "bytes_per_connection = \"512MiB\"",
            "t:2:24: error: `bytes_in_flight` (256MiB) must be at least 512MiB, which is \
             `bytes_per_connection`",
        ),
        ("max_read = \"5000B\"", "t:2:12: error: `max_read` must be a multiple of 4KiB"),
        (
            "io_threads = 4",
            "t:2:14: warning: `io_threads_per_export` (32) is more than there are `io_threads` \
             (4)\n  help: a slow export could take all of them",
        ),
    ] {
        assert_eq!(said(&format!("[limits]\n{limits}\n{EXPORT}")), expected, "{limits}");
    }
}

#[test]
fn exports_are_looked_at_together() {
    let export =
        |path: &str, more: &str| format!("[[export]]\npath = \"{path}\"\nallow = \"h\"\n{more}\n");
    let text = [
        export("/srv", ""),
        export("/srv", ""),
        export("/srv/inner", "fsid = 5"),
        export("/other", "fsid = 5"),
    ]
    .concat();
    let expected = "\
t:6:8: error: `/srv` is already exported at t:2:8
t:14:8: error: `/other` has the same fsid as `/srv/inner` at t:10:8
  help: give each export an `fsid` of its own
t:10:8: warning: `/srv/inner` is inside `/srv`, exported at t:2:8
  help: the clients of the outer export reach its files by the outer rules";
    assert_eq!(said(&text), expected);
}

#[test]
fn what_the_machine_lacks_is_a_warning() {
    let export =
        |path: &str, more: &str| format!("[[export]]\npath = \"{path}\"\nallow = \"h\"\n{more}");
    for (text, expected) in [
        (export("/file", ""), "`/file` is not a directory"),
        (export("/gone", ""), "`/gone` does not exist"),
        (export("/hidden", ""), "`/hidden` cannot be seen: Permission denied (os error 13)"),
        (export("/proc", ""), "`/proc` cannot be exported: proc cannot make file handles"),
        (export("/proc", "mount_point = \"/mnt\"\n"), "nothing is mounted on `/mnt`"),
        (export("/", ""), "the root directory is exported: with it all secrets of this machine"),
        (String::new(), "t: nothing is exported"),
        (String::new(), "t: others than its owner may write this file, and so export anything"),
        (
            String::new(),
            "/var/lib/standfast: everybody may look into the directory of the file handles' key",
        ),
    ] {
        let said = said_on(&text, &PoorMachine);
        let line = format!("warning: {expected}");
        assert!(said.lines().any(|said| said.ends_with(&line)), "{line} is not in:\n{said}");
        assert!(!load_source(Source::new("t", text), &PoorMachine).has_errors());
    }
}

#[test]
fn exports_files_and_directories_of_them_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    std::fs::create_dir(path("exports.d")).unwrap();
    write("exports", "/srv/a h(rw)\n");
    write("exports.d/b.exports", "/srv/b h(rw)\n/srv/a i(ro)\n");
    write("exports.d/.hidden.exports", "/srv/c h\n");
    write("exports.d/readme", "not exports");
    let toml = |files: &str| format!("exports_files = [{files}]\n");
    let quoted = |name: &str| format!("\"{}\"", path(name).display());
    write("good.toml", &toml(&format!("{}, {}", quoted("exports"), quoted("exports.d"))));
    let loaded = load(&path("good.toml"), &FineMachine);
    let settings = loaded.settings.unwrap();
    let shown: Vec<_> = settings
        .exports
        .iter()
        .map(|export| format!("{} {}", export.path.display(), export.clients.len()))
        .collect();
    assert_eq!(shown, ["/srv/a 2", "/srv/b 1"]);
    assert_eq!(loaded.sources.len(), 3);

    write("bad.toml", &toml(&quoted("gone")));
    let loaded = load(&path("bad.toml"), &FineMachine);
    assert!(loaded.has_errors());
    let expected = format!(
        "error: cannot read {}: No such file or directory (os error 2)",
        path("gone").display()
    );
    assert_eq!(loaded.diagnostics[0].to_string(), expected);
    let gone = load(&path("gone.toml"), &FineMachine);
    assert!(gone.has_errors());
    assert!(load(dir.path(), &FineMachine).has_errors());
}

#[test]
fn a_reload_says_what_changes_and_when() {
    let old = settings(
        "[server]\nport = 1\n[limits]\nconnections = 5\n[[export]]\npath = \"/a\"\nallow = \"h\"\n[[export]]\npath = \"/b\"\nallow = \"h\"\n",
    );
    let new = settings(
        "[server]\nport = 2\n[limits]\nconnections = 6\n[[export]]\npath = \"/a\"\nallow = \"h:rw\"\n[[export]]\npath = \"/c\"\nallow = \"h\"\n",
    );
    let shown: Vec<_> = changes(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "server.port (after a restart)",
            "limits.connections",
            "export /a",
            "export /c",
            "export /b"
        ]
    );
    assert!(changes(&old, &old).is_empty());
    assert_eq!(changes(&old, &new)[0].applies, Applies::Restart);
}

/// The sample with every setting in it that is commented out.
fn whole_sample(sample: &str) -> String {
    let is_setting = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let uncommented = |line| if is_setting(line) { &line[1..] } else { line };
    sample.lines().map(uncommented).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_names_every_setting_with_its_default() {
    let sample = include_str!("../../../packaging/standfast.toml");
    assert_eq!(settings(sample), Settings::default(), "nothing is set as it is delivered");

    let whole = whole_sample(sample);
    let read = settings(&whole);
    let without_default = [
        "server.mount_port",
        "server.nlm_port",
        "server.nsm_port",
        "journal.directory",
        "nfs4.domain",
        "nsm.name",
        "metrics.listen",
    ];
    let differing: Vec<_> = changes(&Settings::default(), &Settings { exports: vec![], ..read })
        .into_iter()
        .map(|c| c.key)
        .collect();
    assert_eq!(differing, without_default);

    let names = standfast_settings::setting_names();
    let document: toml::Table = whole.parse().unwrap();
    for (section, key) in names {
        let table = match section {
            "" => &document,
            section => document[section].as_table().unwrap(),
        };
        assert!(table.contains_key(key), "{section}.{key} is not in the sample");
    }
}

#[test]
fn the_sample_shows_an_export_with_every_key() {
    let sample = include_str!("../../../packaging/standfast.toml");
    let example = sample.split_once("# [[export]]").unwrap().1.replace("\n# ", "\n");
    let settings = settings(&format!("[[export]]{example}"));
    let [export] = settings.exports.as_slice() else { panic!("{:?}", settings.exports) };
    assert_eq!(export.export_path, Path::new("/data"));
    assert_eq!(export.clients.len(), 4);
    let keys: toml::Table = format!("[[export]]{example}").parse().unwrap();
    assert_eq!(keys["export"][0].as_table().unwrap().len(), 15);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        load_source(Source::new("t", bytes), &FineMachine);
    }

    #[test]
    fn no_pieces_make_the_reader_panic(pieces in proptest::collection::vec(
        prop::sample::select(vec![
            "[server]\n", "[[export]]\n", "[limits]\n", "path", "allow", "clients", "match", " = ",
            "\"/srv\"", "\"h:rw\"", "\"é::1:rx\"", "'\\'", "[", "]", "{", "}", ",", "\n", "7",
            "-1", "0x", "\"10s\"", "max_read", "listen", "true", "security", "mount_point", ".",
            "\"\"\"", "\"\\u00e9:rz\"",
        ]),
        0..40,
    )) {
        let text = pieces.concat();
        for found in load_source(Source::new("t", text.as_str()), &FineMachine).diagnostics {
            if let Some(place) = found.place {
                prop_assert!(place.span.end <= text.len() && place.span.start <= place.span.end);
            }
        }
    }
}
