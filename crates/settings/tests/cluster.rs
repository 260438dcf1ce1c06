//! The settings of a cluster: read, written, compared, and refused where they contradict themselves.

use std::time::Duration;

use standfast_settings::{
    ClusterSettings, LoadedCluster, Source, Timing, cluster_to_toml, differences,
    load_cluster_source,
};

fn load(text: &str) -> LoadedCluster {
    load_cluster_source(Source::new("cluster.toml", text))
}

fn good(text: &str) -> ClusterSettings {
    let loaded = load(text);
    let found: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(loaded.settings.is_some(), "{found:#?}");
    loaded.settings.unwrap_or_default()
}

fn first_error(text: &str) -> String {
    let loaded = load(text);
    assert!(loaded.settings.is_none(), "it should be refused: {text}");
    loaded.diagnostics.first().map(ToString::to_string).unwrap_or_default()
}

const WHOLE: &str = r#"
[timing]
lease_time = "300ms"

[[pool]]
name = "shared"
path = "/mnt/shared"
fence = ["/usr/local/sbin/fence", "--now"]

[[service]]
name = "vmstore"
addresses = ["10.0.0.10/24", "fd00::10/64@bond0.20"]
pool = "shared"
prefer = ["a", "b"]
apart_from = ["home"]
failback = "idle"

[[service.export]]
path = "/mnt/shared/vm"
as = "/vm"
fsid = 7
allow = ["10.0.0.0/8:rw,no_root_squash", "*:ro"]

[[service]]
name = "home"
addresses = ["10.0.0.11/24"]
"#;

#[test]
fn what_is_written_reads_the_same() {
    let settings = good(WHOLE);
    assert_eq!(settings.services["vmstore"].exports.len(), 1);
    assert_eq!(good(&cluster_to_toml(&settings)), settings);
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<ClusterSettings>(&json).unwrap(), settings);
}

#[test]
fn a_form_of_a_version_that_knew_less_is_read() {
    let settings: ClusterSettings = serde_json::from_str(r#"{"services":{"a":{}}}"#).unwrap();
    assert!(settings.services.contains_key("a"));
}

#[test]
fn a_difference_shows_what_changes_and_nothing_else() {
    let old = good(WHOLE);
    let mut new = old.clone();
    assert_eq!(differences(&old, &new), []);
    new.services.remove("home");
    if let Some(vmstore) = new.services.get_mut("vmstore") {
        vmstore.prefer = vec!["b".into()];
        vmstore.apart_from.clear();
    }
    let shown: String = differences(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        "service home\n  - [[service]]\n  - name = \"home\"\n  - addresses = [\"10.0.0.11/24\"]\n\
         service vmstore\n  - prefer = [\"a\", \"b\"]\n  - apart_from = [\"home\"]\n  + prefer = [\"b\"]\n"
    );
}

#[test]
fn what_contradicts_itself_is_named_where_it_stands() {
    for (text, expected) in [
        (
            "[timing]\nheartbeat_interval = \"100ms\"\nfailure_timeout = \"200ms\"\nlease_time = \"1s\"\n",
            "cluster.toml:3:19: error: `failure_timeout` (200ms) must be at least 3 times",
        ),
        (
            "[[service]]\nname = \"a\"\npool = \"shred\"\n[[pool]]\nname = \"shared\"\npath = \"/m\"\n",
            "cluster.toml:3:8: error: there is no pool `shred`",
        ),
        (
            "[[service]]\nname = \"a\"\naddresses = [\"10.0.0.1/24\"]\n[[service]]\nname = \"b\"\n\
             addresses = [\"10.0.0.1/24\"]\n",
            "cluster.toml:6:13: error: `b` and `a` both have the address 10.0.0.1",
        ),
        (
            "[[service]]\nname = \"a\"\napart_from = [\"b\"]\n[[service]]\nname = \"b\"\n\
             together_with = [\"c\"]\n[[service]]\nname = \"c\"\ntogether_with = [\"a\"]\n",
            "cluster.toml:3:14: error: `a` must be both together with and apart from `b`",
        ),
        (
            "[[service]]\nname = \"a\"\nonly = [\"n1\"]\nprefer = [\"n2\"]\n",
            "cluster.toml:4:10: error: `a` prefers `n2`",
        ),
        (
            "[[service]]\nname = \"a\"\n[[service]]\nname = \"a\"\n",
            "cluster.toml:4:8: error: there are two services with the name `a`",
        ),
        ("[[service]]\nnam = \"a\"\n", "cluster.toml:1:1: error: this service has no `name`"),
        (
            "[[service]]\nname = \"a\"\naddresses = [\"10.0.0.0/24\"]\n",
            "cluster.toml:3:14: error: 10.0.0.0 is the first or last address",
        ),
        ("[timing]\nlease_tme = \"1s\"\n", "cluster.toml:2:1: error: unknown setting `lease_tme`"),
        (
            "[[pool]]\nname = \"p\"\npath = \"/m\"\n[[service]]\nname = \"a\"\npool = \"p\"\n\
             [[service.export]]\npath = \"/elsewhere\"\nallow = \"*:ro\"\n",
            "`/elsewhere` is not in the pool `p`, which is /m",
        ),
        ("[[service]\n", "cluster.toml:1"),
        (
            "[timing]\nlease_time = \"2m\"\n",
            "cluster.toml:2:14: error: `lease_time` must be between 50ms and 1m",
        ),
        ("[timing]\nlease_time = \"100ms\"\n", "`lease_time` (100ms) must be at least 3 times"),
        (
            "[timing]\nconsensus_heartbeat = \"100ms\"\n",
            "`election_timeout` (200ms) must be at least 3 times `consensus_heartbeat` (100ms)",
        ),
        ("[[pool]]\nname = \"p\"\n", "cluster.toml:1:1: error: this pool has no `path`"),
        (
            "[[pool]]\nname = \"p\"\npath = \"mnt\"\n",
            "cluster.toml:3:8: error: `mnt` is not an absolute path",
        ),
        (
            "[[pool]]\nname = \"a b\"\npath = \"/m\"\n",
            "cluster.toml:2:8: error: `a b` cannot name a pool",
        ),
        (
            "[[service]]\nname = \"a\"\n[[service.export]]\npath = \"/m/a\"\nallow = \"*:ro\"\n",
            "`a` has exports but no `pool` to keep its state in",
        ),
        (
            "[[service]]\nname = \"a\"\ntogether_with = [\"a\"]\n",
            "cluster.toml:3:17: error: `together_with` of `a` names the service itself",
        ),
        (
            "[[service]]\nname = \"a\"\nonly = [\"n1\"]\ntogether_with = [\"b\"]\n\
             [[service]]\nname = \"b\"\nonly = [\"n2\"]\n",
            "cluster.toml:3:8: error: `a` must be together with `b`, but `only` leaves no node",
        ),
        (
            "[[service]]\nname = \"a\"\naddresses = [\"10.0.0.1/24\", \"10.0.0.1/16\"]\n",
            "`a` has the address 10.0.0.1 twice",
        ),
        (
            "[[service]]\nname = \"a\"\nfailback = \"later\"\n",
            "cluster.toml:3:12: error: `later` is not one of \"stay\", \"idle\", \"now\"",
        ),
    ] {
        let error = first_error(text);
        assert!(error.contains(expected), "{error}\nwas expected to say: {expected}");
    }
}

#[test]
fn exports_are_told_apart_and_belong_to_one_service() {
    let pool = "[[pool]]\nname = \"p\"\npath = \"/m\"\n";
    let service = |name: &str| format!("[[service]]\nname = \"{name}\"\npool = \"p\"\n");
    let export = |rest: &str| format!("[[service.export]]\n{rest}allow = \"10.0.0.0/8:ro\"\n");
    for (services, expected) in [
        (
            service("a") + &export("path = \"/m/a\"\n") + &export("path = \"/m/a\"\n"),
            "`a` exports `/m/a` twice",
        ),
        (
            service("a")
                + &export("path = \"/m/a\"\nfsid = 7\n")
                + &export("path = \"/m/b\"\nfsid = 7\n"),
            "`/m/b` of `a` has the same fsid as `/m/a`",
        ),
        (
            service("a")
                + &export("path = \"/m/a\"\n")
                + &service("b")
                + &export("path = \"/m/a\"\n"),
            "`b` exports `/m/a`, which `a` exports as well: locks",
        ),
        (
            service("a")
                + &export("path = \"/m/a/deep\"\n")
                + &service("b")
                + &export("path = \"/m/a\"\n"),
            "`a` exports `/m/a/deep`, which `b` exports as well (/m/a)",
        ),
    ] {
        let error = first_error(&format!("{pool}{services}"));
        assert!(error.contains(expected), "{error}\nwas expected to say: {expected}");
    }
    // Neighbours, and directories of one service inside each other, are not in each other's way.
    let services = service("a")
        + &export("path = \"/m/a\"\n")
        + &export("path = \"/m/a/deep\"\n")
        + &service("b")
        + &export("path = \"/m/ab\"\n");
    good(&format!("{pool}{services}"));
}

#[test]
fn what_comes_without_a_file_is_checked_alike() {
    let check = |change: &dyn Fn(&mut ClusterSettings)| {
        let mut settings = good(WHOLE);
        change(&mut settings);
        settings.check().unwrap_err().join("; ")
    };
    let zero = Duration::ZERO;
    let said = check(&|settings| {
        settings.timing.consensus_heartbeat = zero;
        settings.timing.election_timeout = zero;
    });
    assert!(said.contains("`consensus_heartbeat` (0s) must be between 10ms and 1s"), "{said}");
    assert!(said.contains("`election_timeout` (0s) must be between 50ms and 1m"), "{said}");
    for (path, expected) in [
        ("/mnt/shared/../../etc", "has `.` or `..` in it"),
        ("mnt/shared", "must start with `/`"),
        ("/etc", "`/etc` is not in the pool `shared`"),
    ] {
        let said = check(&|settings| {
            let service = settings.services.get_mut("vmstore").unwrap();
            service.exports[0].path = path.into();
        });
        assert!(said.contains(expected), "{said}\nwas expected to say: {expected}");
    }
    assert_eq!(good(WHOLE).check(), Ok(()));
}

#[test]
fn the_nearest_key_is_named() {
    for (text, expected) in [
        ("[timing]\nlease_tme = \"1s\"\n", "did you mean `lease_time`?"),
        ("[[services]]\nname = \"a\"\n", "did you mean `service`?"),
        ("[[service]]\nname = \"a\"\nadresses = []\n", "did you mean `addresses`?"),
        (
            "[[service]]\nname = \"a\"\npool = \"shred\"\n[[pool]]\nname = \"shared\"\npath = \"/m\"\n",
            "did you mean `shared`?",
        ),
    ] {
        let help = load(text).diagnostics.first().and_then(|found| found.help.clone());
        assert_eq!(help.as_deref(), Some(expected), "{text}");
    }
}

/// The sample that is packaged.
const SAMPLE: &str = include_str!("../../../packaging/cluster.toml");

#[test]
fn the_sample_is_good_and_shows_the_defaults() {
    let loaded = load(SAMPLE);
    let found: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{found:#?}");
    let sample = good(SAMPLE);
    assert_eq!(sample.timing, Timing::default());
    assert_eq!(sample.services.len(), 2);
    // All at once would contradict itself: to be apart and together.
    let uncommented: String = SAMPLE
        .lines()
        .filter(|line| !line.starts_with("#apart_from"))
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && setting.contains(" = ") => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let all = good(&uncommented);
    assert_eq!(all.timing, Timing::default());
    assert_eq!(all.services["vmstore"].failback, sample.services["vmstore"].failback);
    assert_eq!(all.pools["shared"].engine, sample.pools["shared"].engine);
    assert_eq!(all.services["vmstore"].together_with, ["home"]);
}
