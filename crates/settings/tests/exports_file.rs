//! Files in the syntax of exports(5): what they mean, and what is said about them.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed helper is a failed test")]

use proptest::prelude::*;
use standfast_settings::{ExportSettings, Severity, Source, exports_to_toml, parse_exports};

fn parse(text: impl AsRef<[u8]>) -> (Vec<ExportSettings>, Vec<String>) {
    let (exports, diagnostics) = parse_exports(&Source::new("exports", text.as_ref()));
    (exports, diagnostics.iter().map(ToString::to_string).collect())
}

/// Each export as path and rules, of a file without errors.
fn exports(text: &str) -> Vec<String> {
    let (exports, diagnostics) = parse_exports(&Source::new("exports", text));
    let errors: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{text}: {errors:?}");
    exports
        .iter()
        .map(|export| {
            let toml = exports_to_toml(std::slice::from_ref(export));
            let allow = toml.split_once("allow = ").unwrap().1;
            let rules: Vec<_> =
                allow.lines().map(|line| line.trim().trim_end_matches(',')).collect();
            let rules = rules.join(" ").replace(['[', ']', '"'], "");
            format!("{} {}", export.path.display(), rules.trim())
        })
        .collect()
}

/// What is said about a file.
fn said(text: impl AsRef<[u8]>) -> String {
    parse(text).1.join("\n")
}

#[test]
fn the_examples_of_the_manual_page_are_read() {
    let text = r"# sample /etc/exports file
/               master(rw) trusty(rw,no_root_squash)
/projects       proj*.local.domain(rw)
/usr            *.local.domain(ro) @trusted(rw)
/home/joe       pc001(rw,all_squash,anonuid=150,anongid=100)
/pub            *(ro,insecure,all_squash)
/srv/www        -sync,rw server @trusted @external(ro)
/foo            2001:db8:9:e54::/64(rw) 192.0.2.0/24(rw)
/build          *.local.domain(rw)
";
    let expected = [
        "/ master:rw trusty:rw,no_root_squash",
        "/projects proj*.local.domain:rw",
        "/usr *.local.domain:ro @trusted:rw",
        "/home/joe pc001:rw,all_squash,anonuid=150,anongid=100",
        "/pub *:ro,all_squash,insecure",
        "/srv/www server:rw @trusted:rw @external:ro",
        "/foo 2001:db8:9:e54::/64:rw 192.0.2.0/24:rw",
        "/build *.local.domain:rw",
    ];
    assert_eq!(exports(text), expected);
    assert_eq!(said(text), "");
}

#[test]
fn lines_words_and_quotes_are_those_of_exportfs() {
    for (text, expected) in [
        ("", vec![]),
        ("# only a comment", vec![]),
        ("\n \t\r\n", vec![]),
        ("/a h(rw)", vec!["/a h:rw"]),
        ("  /a\th(rw) # comment (x)\n/b i", vec!["/a h:rw", "/b i:ro"]),
        ("/a \\\n  h(rw) \\\r\n i(ro)", vec!["/a h:rw i:ro"]),
        ("/a h(rw)\\\ni", vec!["/a h:rw i:ro"]),
        ("\"/a b\" h", vec!["/a b h:ro"]),
        ("/a\" \"b h", vec!["/a b h:ro"]),
        ("/a\\040b h", vec!["/a b h:ro"]),
        ("/a\\043 h", vec!["/a# h:ro"]),
        ("/a#b h", vec!["/a#b h:ro"]),
        ("/a\\9b h", vec!["/a\\9b h:ro"]),
        ("/a/ h(rw)\n/a i(ro)", vec!["/a h:rw i:ro"]),
        ("/a -rw h i(ro) -no_root_squash j", vec!["/a h:rw i:ro j:rw,no_root_squash"]),
        ("/a -rw h\n/b i", vec!["/a h:rw", "/b i:ro"]),
        ("/a h()", vec!["/a h:ro"]),
        ("/a 10.0.0.0/255.0.0.0(rw)", vec!["/a 10.0.0.0/8:rw"]),
        ("/a *(ro)", vec!["/a *:ro"]),
    ] {
        assert_eq!(exports(text), expected, "{text}");
    }
}

#[test]
fn a_path_is_bytes() {
    let (exports, said) = parse(b"/srv/\xff\\377 h(rw)");
    assert!(said.is_empty(), "{said:?}");
    let path = exports[0].path.as_os_str();
    assert_eq!(path.as_encoded_bytes(), b"/srv/\xff\xff");
}

#[test]
fn what_holds_for_the_whole_export_is_read() {
    let (exports, said) = parse("/a -fsid=7,crossmnt,mp h(rw) i\n/b j(fsid=root,mountpoint=/mnt)");
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(
        exports_to_toml(&exports),
        "[[export]]\npath = \"/a\"\nfsid = 7\ncross_mounts = true\nmount_point = true\n\
         allow = [\n    \"h:rw\",\n    \"i:ro\",\n]\n\n\
         [[export]]\npath = \"/b\"\nfsid = 0\nmount_point = \"/mnt\"\nallow = [\"j:ro\"]\n"
    );
}

#[test]
fn errors_have_a_place_a_reason_and_a_way_out() {
    for (text, expected) in [
        (
            "/a h(rw,asinc)",
            "exports:1:9: error: unknown option `asinc`\n  help: did you mean `async`?",
        ),
        (
            "/a \\\n  h(rw,no_rot_squash)\n/b i(or)",
            "exports:2:8: error: unknown option `no_rot_squash`\n  help: did you mean \
             `no_root_squash`?\nexports:3:6: error: unknown option `or`\n  help: did you mean \
             `ro`?",
        ),
        (
            "/a h(async)",
            "exports:1:6: error: `async` is refused: a server that answers before the data is on \
             stable storage loses it in a power cut; what a client is told is stable is stable \
             here",
        ),
        (
            "/a h(sec=krb5p)",
            "exports:1:6: error: `sec=krb5p` is not supported yet: only `sec=sys` is",
        ),
        (
            "/a gss/krb5(rw)",
            "exports:1:4: error: `gss/krb5`: Kerberos is not supported yet, so no client could be \
             let in by it",
        ),
        ("a h(rw)", "exports:1:1: error: `a` is not an absolute path; it must start with `/`"),
        (
            "/a/../b h",
            "exports:1:1: error: `/a/../b` has `.` or `..` in it; write the path without them",
        ),
        ("/a h(rw", "exports:1:5: error: this list of options has no `)`"),
        ("/a h \"i", "exports:1:6: error: the quote is not closed in its line"),
        ("/a h#x", "exports:1:4: error: `h#x` is not the name of a host"),
        (
            "/a h(rw, sync) i(ro)",
            "exports:1:9: error: white space inside a list of options\n  help: write the options \
             without it: `(rw,sync)`",
        ),
        ("/a h(rw)i(ro)", "exports:1:9: error: white space is missing after the list of options"),
        (
            "/a h(rw,fsid=x)",
            "exports:1:9: error: `x` is not an fsid; write a number below 2^32, `root`, or a UUID of 32 hex digits",
        ),
        (
            "/a h(rw,fsid=1) i(rw,fsid=2)",
            "exports:1:17: error: `fsid` must be the same for every client of an export\n  help: \
             write it for each of them, or once as a default: `/path -OPTION client …`",
        ),
        (
            "/a h(crossmnt)\n/a i",
            "exports:2:4: error: `crossmnt` must be the same for every client of an export\n  \
             help: write it for each of them, or once as a default: `/path -OPTION client …`",
        ),
        ("/a -rw,x\\040 h", "exports:1:8: error: unknown option `x `"),
        (
            "/a 10.0.0.0/8(rw) 10.0.0.300(rw)",
            "exports:1:19: error: `10.0.0.300` is not an IP address",
        ),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn traps_are_warned_of() {
    for (text, expected) in [
        (
            "/a host (ro)",
            "exports:1:10: warning: the space before this list gives it to everyone; `host` gets \
             the default options\n  help: remove the space if `host` is meant; else write `*` \
             before the list",
        ),
        (
            "/a (ro)",
            "exports:1:5: warning: this list has no client before it: it is for everyone\n  help: \
             write `*` before it if that is meant",
        ),
        (
            "/a",
            "exports:1:1: warning: no client is named: everyone may read this export\n  help: \
             write `*` if that is meant",
        ),
        (
            "/a(ro) h",
            "exports:1:3: warning: this is read as part of the path\n  help: put a space and a \
             client before the list: `/path *(ro)`",
        ),
        (
            "/a h(subtree_check)",
            "exports:1:6: warning: `subtree_check` is not done and is not needed: file handles \
             are signed, so nobody can make one for a file outside the export",
        ),
        (
            "/a h(rw) h(ro)",
            "exports:1:10: warning: `h` is named twice for this path; the first one holds",
        ),
        (
            "/a *(rw,no_root_squash)",
            "exports:1:4: warning: every machine that reaches the server may change every file as \
             root (`*`)\n  help: name the networks or hosts that need it",
        ),
        (
            "/a 0.0.0.0/0(rw)",
            "exports:1:4: warning: every machine that reaches the server may write (`0.0.0.0/0`)\n  \
             help: name the networks or hosts that need it",
        ),
        (
            "/a h(insecure)",
            "exports:1:4: warning: `insecure`: any user of `h` can speak for every other user of \
             that machine\n  help: leave it out, or squash everybody (`all_squash`)",
        ),
        (
            "# joined \\\n/a h\n/b i",
            "exports:1:10: warning: the backslash at the end of this comment makes the next line \
             part of it",
        ),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn a_wrong_client_does_not_open_the_export_to_everyone() {
    let (exports, said) = parse("/a 10.0.0.999(rw)");
    assert_eq!(said.len(), 1);
    assert!(exports[0].clients.is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
        parse(bytes);
    }

    /// Text that is made of what the parser knows gets further into it.
    #[test]
    fn no_pieces_make_the_parser_panic(pieces in proptest::collection::vec(
        prop::sample::select(vec![
            "/", "/srv", " ", "\t", "\n", "\\\n", "\\", "\"", "(", ")", "#", "*", "-", ",", "rw",
            "=", "\\040", "\\377", "fsid", "sec=", "10.0.0.0/8", "::/0", "@", "[", "]", "é", "mp",
        ]),
        0..40,
    )) {
        let text = pieces.concat();
        let (_, diagnostics) = parse_exports(&Source::new("exports", text.as_str()));
        for place in diagnostics.iter().filter_map(|d| d.place.as_ref()) {
            prop_assert!(place.span.end <= text.len() && place.span.start <= place.span.end);
        }
    }

    /// What is written as TOML says the same.
    #[test]
    fn an_export_survives_the_move_to_toml(
        options in proptest::collection::vec(prop::sample::select(vec![
            "rw", "ro", "no_root_squash", "all_squash", "anonuid=5", "insecure", "nordirplus",
        ]), 0..4),
        clients in proptest::collection::hash_set(prop::sample::select(vec![
            "h", "*.dom", "10.0.0.0/8", "@g", "*", "2001:db8::/32", "::1", "x[a-z]",
        ]), 1..5),
    ) {
        let line = |client: &&str| format!("{client}({})", options.join(","));
        let clients: Vec<_> = clients.iter().map(line).collect();
        let (exports, _) = parse(format!("/srv/d\\040x {}", clients.join(" ")));
        let toml = Source::new("t", exports_to_toml(&exports));
        let loaded = standfast_settings::load_source(toml, &standfast_settings::SystemProbe);
        prop_assert_eq!(loaded.settings.unwrap().exports, exports);
    }
}
