//! The settings of a cluster: read, written, compared, and refused where they contradict themselves.

use standfast_settings::{
    ClusterSettings, LoadedCluster, Source, cluster_to_toml, differences, load_cluster_source,
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
    ] {
        let error = first_error(text);
        assert!(error.contains(expected), "{error}\nwas expected to say: {expected}");
    }
}
