//! The options of exports(5), in parentheses there and after the colon of `--allow`.

use std::ops::Range;
use std::path::PathBuf;

use crate::diagnostic::Issues;
use crate::export_path::normal_path;
use crate::nearest::did_you_mean;
use crate::{ClientAccess, Fsid, SecurityFlavour, Squash};

/// What a list of options comes to.
#[derive(Clone, Debug)]
pub(crate) struct OptionSet {
    access: ClientAccess,
    squash_root: bool,
    squash_all: bool,
    /// What speaks of the export as a whole, although it is written at a client.
    pub(crate) export: ExportOptions,
    /// The options stand behind a `sec=` of which no flavour is supported.
    of_unsupported_flavour: bool,
}

/// Options that hold for an export whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportOptions {
    pub(crate) fsid: Option<Fsid>,
    pub(crate) cross_mounts: bool,
    pub(crate) mount_point: Option<MountPoint>,
}

/// What must be a mount point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountPoint {
    /// The exported directory itself.
    Export,
    /// Another directory.
    Path(PathBuf),
}

impl OptionSet {
    pub(crate) fn new(defaults: &ClientAccess) -> Self {
        Self {
            access: defaults.clone(),
            squash_root: defaults.squash != Squash::None,
            squash_all: defaults.squash == Squash::All,
            export: ExportOptions::default(),
            of_unsupported_flavour: false,
        }
    }

    pub(crate) fn access(&self) -> ClientAccess {
        let squash = match (self.squash_all, self.squash_root) {
            (true, _) => Squash::All,
            (false, true) => Squash::Root,
            (false, false) => Squash::None,
        };
        ClientAccess { squash, ..self.access.clone() }
    }
}

/// What an option does.
enum Effect {
    /// Nothing: it asks for what is always so, or for nothing that can be seen.
    None,
    /// It changes what a client may do.
    Access(fn(&mut OptionSet)),
    /// As `Access`, and it may differ between the flavours of a `sec=`.
    FlavourAccess(fn(&mut OptionSet)),
    /// It speaks of the export as a whole.
    Export(fn(&mut ExportOptions)),
    /// It is read past, with a reason.
    Ignore(&'static str),
    /// It cannot be granted, with a reason.
    Refuse(&'static str),
    /// It has a value.
    Value(fn(&mut Reading<'_>, &str)),
    /// As `Value`, and it speaks of the export as a whole.
    ExportValue(fn(&mut Reading<'_>, &str)),
}

/// One option that is being read.
struct Reading<'a> {
    set: &'a mut OptionSet,
    issues: &'a mut Issues,
    span: Range<usize>,
}

impl Reading<'_> {
    fn error(&mut self, message: impl Into<String>) {
        self.issues.error(self.span.clone(), message);
    }
}

const ASYNC: &str = "`async` is refused: a server that answers before the data is on stable \
     storage loses it in a power cut; what a client is told is stable is stable here";
const REFERRAL: &str = "sending clients to another server is not supported";
const SUBTREE: &str = "`subtree_check` is not done and is not needed: file handles are signed, so \
     nobody can make one for a file outside the export";
const NOHIDE: &str = "`nohide` has no effect: clients mount this export by its own path; \
     `crossmnt` on the export above it shows what is mounted below";

/// Every option and what it does.
const OPTIONS: &[(&str, Effect)] = &[
    ("ro", Effect::FlavourAccess(|set| set.access.read_only = true)),
    ("rw", Effect::FlavourAccess(|set| set.access.read_only = false)),
    ("root_squash", Effect::FlavourAccess(|set| set.squash_root = true)),
    ("no_root_squash", Effect::FlavourAccess(|set| set.squash_root = false)),
    ("all_squash", Effect::FlavourAccess(|set| set.squash_all = true)),
    ("no_all_squash", Effect::FlavourAccess(|set| set.squash_all = false)),
    ("secure", Effect::Access(|set| set.access.secure_ports = true)),
    ("insecure", Effect::Access(|set| set.access.secure_ports = false)),
    ("nordirplus", Effect::Access(|set| set.access.readdirplus = false)),
    (
        "anonuid",
        Effect::Value(|reading, value| {
            if let Some(id) = identity(reading, "uid", value) {
                reading.set.access.anon_uid = id;
            }
        }),
    ),
    (
        "anongid",
        Effect::Value(|reading, value| {
            if let Some(id) = identity(reading, "gid", value) {
                reading.set.access.anon_gid = id;
            }
        }),
    ),
    ("sec", Effect::Value(security)),
    ("fsid", Effect::ExportValue(fsid)),
    ("crossmnt", Effect::Export(|export| export.cross_mounts = true)),
    ("nocrossmnt", Effect::Export(|export| export.cross_mounts = false)),
    ("mountpoint", Effect::ExportValue(mount_point)),
    ("mp", Effect::ExportValue(mount_point)),
    ("sync", Effect::None),
    ("async", Effect::Refuse(ASYNC)),
    ("wdelay", Effect::None),
    ("no_wdelay", Effect::None),
    ("hide", Effect::None),
    ("nohide", Effect::Ignore(NOHIDE)),
    ("subtree_check", Effect::Ignore(SUBTREE)),
    ("no_subtree_check", Effect::None),
    ("secure_locks", Effect::None),
    ("insecure_locks", Effect::None),
    ("auth_nlm", Effect::None),
    ("no_auth_nlm", Effect::None),
    ("acl", Effect::None),
    ("no_acl", Effect::None),
    ("no_pnfs", Effect::None),
    ("pnfs", Effect::Refuse("`pnfs` is not supported: clients cannot reach the storage itself")),
    ("security_label", Effect::Refuse("`security_label` is not supported: no labels are served")),
    ("refer", Effect::Refuse(REFERRAL)),
    ("replicas", Effect::Refuse(REFERRAL)),
    ("xprtsec", Effect::Value(transport_security)),
];

/// Whether `name` is an option of exports(5).
pub(crate) fn is_option(name: &str) -> bool {
    OPTIONS.iter().any(|(known, _)| *known == name)
}

/// Reads a comma-separated list into `set`; places are byte ranges of `text`.
pub(crate) fn read_options(text: &str, set: &mut OptionSet, issues: &mut Issues) {
    let mut start = 0;
    set.of_unsupported_flavour = false;
    for option in text.split(',') {
        let span = start..start + option.len();
        start = span.end + 1;
        if !option.is_empty() {
            read_option(option, &mut Reading { set, issues, span });
        }
    }
}

fn read_option(option: &str, reading: &mut Reading<'_>) {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    let Some((_, effect)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
        let help = did_you_mean(name, OPTIONS.iter().map(|(known, _)| *known));
        let span = reading.span.start..reading.span.start + name.len();
        reading.issues.error(span, format!("unknown option `{name}`")).maybe_help(help);
        return;
    };
    match (effect, value) {
        (Effect::Refuse(reason) | Effect::Ignore(reason), _) => report(effect, reason, reading),
        (Effect::Value(read) | Effect::ExportValue(read), Some(value)) => read(reading, value),
        (Effect::Value(read) | Effect::ExportValue(read), None) => read(reading, ""),
        (_, Some(_)) => reading.error(format!("option `{name}` takes no value")),
        (Effect::None, None) => {}
        (Effect::Access(apply), None) => apply(reading.set),
        (Effect::FlavourAccess(apply), None) if !reading.set.of_unsupported_flavour => {
            apply(reading.set);
        }
        (Effect::FlavourAccess(_), None) => {}
        (Effect::Export(apply), None) => apply(&mut reading.set.export),
    }
}

fn report(effect: &Effect, reason: &str, reading: &mut Reading<'_>) {
    match effect {
        Effect::Refuse(_) => reading.issues.error(reading.span.clone(), reason),
        _ => reading.issues.warn(reading.span.clone(), reason),
    };
}

/// A uid or gid. Negative numbers count from the top, as in exports(5); -1 is no identity.
fn identity(reading: &mut Reading<'_>, what: &str, value: &str) -> Option<u32> {
    let number = value.parse::<i64>().ok().and_then(|number| match number {
        i64::MIN..0 => i32::try_from(number).ok().map(i32::cast_unsigned),
        0.. => u32::try_from(number).ok(),
    });
    let valid = number.filter(|id| *id != u32::MAX);
    if valid.is_none() {
        reading.error(format!("`{value}` is not a {what}; write a number below 4294967295"));
    }
    valid
}

fn security(reading: &mut Reading<'_>, value: &str) {
    let mut flavours = Vec::new();
    let mut unsupported = Vec::new();
    for flavour in value.split(':') {
        match flavour {
            "sys" => flavours.push(SecurityFlavour::Sys),
            "krb5" | "krb5i" | "krb5p" | "none" => unsupported.push(flavour),
            _ => {
                let help = did_you_mean(flavour, ["sys", "krb5", "krb5i", "krb5p", "none"]);
                let message = format!("unknown security flavour `{flavour}`");
                reading.issues.error(reading.span.clone(), message).maybe_help(help);
                return;
            }
        }
    }
    reading.set.of_unsupported_flavour = flavours.is_empty();
    if flavours.is_empty() {
        let message = format!("`sec={value}` is not supported yet: only `sec=sys` is");
        reading.error(message);
    } else {
        if !unsupported.is_empty() {
            let message = format!(
                "{} is not supported yet; only `sec=sys` is offered",
                unsupported.join(":")
            );
            reading.issues.warn(reading.span.clone(), message);
        }
        reading.set.access.security = flavours;
    }
}

fn fsid(reading: &mut Reading<'_>, value: &str) {
    match (value.parse(), reading.set.export.fsid) {
        // Both may be given, the number for kernels that know no UUID.
        (Ok(Fsid::Number(_)), Some(Fsid::Uuid(_))) => {}
        (Ok(fsid), _) => reading.set.export.fsid = Some(fsid),
        (Err(error), _) => reading.error(error.to_string()),
    }
}

fn mount_point(reading: &mut Reading<'_>, value: &str) {
    if value.is_empty() {
        reading.set.export.mount_point = Some(MountPoint::Export);
        return;
    }
    match normal_path(value) {
        Ok(path) => reading.set.export.mount_point = Some(MountPoint::Path(path)),
        Err(error) => reading.error(error.to_string()),
    }
}

fn transport_security(reading: &mut Reading<'_>, value: &str) {
    if !value.split(':').any(|policy| policy == "none") {
        reading.error(format!(
            "`xprtsec={value}` is not supported yet: connections are not encrypted"
        ));
    }
}

/// Says which option of the list speaks of the export as a whole.
pub(crate) fn refuse_export_options(text: &str, issues: &mut Issues) {
    let mut start = 0;
    for option in text.split(',') {
        let name = option.split('=').next().unwrap_or(option);
        let effect = OPTIONS.iter().find(|(known, _)| *known == name).map(|(_, effect)| effect);
        if matches!(effect, Some(Effect::Export(_) | Effect::ExportValue(_))) {
            let message = format!("`{name}` is a setting of the export, not of one client");
            issues.error(start..start + option.len(), message);
        }
        start += option.len() + 1;
    }
}

/// The options that make `access` out of the defaults of exports(5).
pub(crate) fn format_access(access: &ClientAccess) -> String {
    let defaults = ClientAccess::default();
    let mut options = vec![if access.read_only { "ro" } else { "rw" }.to_owned()];
    match access.squash {
        Squash::None => options.push("no_root_squash".into()),
        Squash::Root => {}
        Squash::All => options.push("all_squash".into()),
    }
    for (name, value, default) in [
        ("anonuid", access.anon_uid, defaults.anon_uid),
        ("anongid", access.anon_gid, defaults.anon_gid),
    ] {
        if value != default {
            options.push(format!("{name}={value}"));
        }
    }
    for (name, differs) in [("insecure", !access.secure_ports), ("nordirplus", !access.readdirplus)]
    {
        if differs {
            options.push(name.into());
        }
    }
    options.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The access that a list gives, and what is said of it.
    fn read(text: &str) -> (String, Vec<String>) {
        let mut issues = Issues::default();
        let mut set = OptionSet::new(&ClientAccess::default());
        read_options(text, &mut set, &mut issues);
        let said = issues.into_vec().iter().map(|i| format!("{:?} {i}", i.span)).collect();
        (format_access(&set.access()), said)
    }

    #[test]
    fn options_add_up_to_an_access() {
        for (text, expected) in [
            ("", "ro"),
            ("rw", "rw"),
            ("rw,ro", "ro"),
            ("rw,sync,no_subtree_check,wdelay,no_wdelay,hide,secure_locks,no_acl", "rw"),
            ("rw,no_root_squash", "rw,no_root_squash"),
            ("all_squash,no_root_squash", "ro,all_squash"),
            ("all_squash,no_all_squash", "ro"),
            ("anonuid=150,anongid=100", "ro,anonuid=150,anongid=100"),
            ("anonuid=-2", "ro,anonuid=4294967294"),
            ("insecure,nordirplus", "ro,insecure,nordirplus"),
            ("insecure,secure", "ro"),
            ("sec=sys,rw", "rw"),
            ("xprtsec=none:tls", "ro"),
            (",rw,", "rw"),
        ] {
            assert_eq!(read(text), (expected.into(), vec![]), "{text}");
        }
    }

    #[test]
    fn options_behind_an_unsupported_flavour_are_not_those_of_sys() {
        let (access, said) = read("sec=sys,ro,sec=krb5,rw,no_root_squash");
        assert_eq!(access, "ro");
        assert_eq!(said, ["11..19 `sec=krb5` is not supported yet: only `sec=sys` is"]);
        let (access, said) = read("sec=krb5p:sys,rw");
        assert_eq!(access, "rw");
        assert_eq!(said, ["0..13 krb5p is not supported yet; only `sec=sys` is offered"]);
    }

    #[test]
    fn a_wrong_option_is_named_with_its_place() {
        for (text, expected) in [
            (
                "rw,no_root_sqash",
                "3..16 unknown option `no_root_sqash` (did you mean `no_root_squash`?)",
            ),
            ("rw,bogusbogus", "3..13 unknown option `bogusbogus`"),
            ("anonuid=x", "0..9 `x` is not a uid; write a number below 4294967295"),
            ("anonuid=-1", "0..10 `-1` is not a uid; write a number below 4294967295"),
            ("anongid", "0..7 `` is not a gid; write a number below 4294967295"),
            ("rw=1", "0..4 option `rw` takes no value"),
            ("sec=kbr5", "0..8 unknown security flavour `kbr5` (did you mean `krb5`?)"),
            (
                "xprtsec=mtls",
                "0..12 `xprtsec=mtls` is not supported yet: connections are not encrypted",
            ),
            ("mp=x", "0..4 `x` is not an absolute path; it must start with `/`"),
            ("async", &format!("0..5 {ASYNC}")),
            ("subtree_check", &format!("0..13 {SUBTREE}")),
            ("nohide", &format!("0..6 {NOHIDE}")),
            ("refer=/a@b", &format!("0..10 {REFERRAL}")),
        ] {
            assert_eq!(read(text).1, [expected.to_owned()], "{text}");
        }
    }

    #[test]
    fn options_of_the_export_are_kept_apart() {
        let mut set = OptionSet::new(&ClientAccess::default());
        let uuid = "12345678-1234-1234-1234-123456789abc";
        let text = format!("fsid={uuid},fsid=5,crossmnt,mountpoint=/mnt/");
        read_options(&text, &mut set, &mut Issues::default());
        assert_eq!(set.export.fsid, uuid.parse().ok());
        assert!(set.export.cross_mounts);
        assert_eq!(set.export.mount_point, Some(MountPoint::Path("/mnt".into())));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            read(&text);
        }
    }
}
