use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::settings::{AuthenticationSettings, InitialState};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn import_fixture(name: &str, id: Option<&str>) -> Import {
    let options = Options { config_id: id.map(str::to_owned) };
    let import = import(&fixture(name), &options).unwrap();
    // What is written must be what the daemon reads, and it must run.
    let text = import.to_toml().unwrap();
    let file: File = toml::from_str(&text).unwrap();
    assert_eq!(file.vrrp, import.settings);
    file.vrrp.check().unwrap();
    import
}

fn import_text(text: &str) -> Import {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keepalived.conf");
    fs::write(&path, text).unwrap();
    import(&path, &Options::default()).unwrap()
}

fn notes(import: &Import, verdict: Verdict) -> Vec<String> {
    let of = |finding: &&Finding| finding.verdict == verdict;
    import.findings.iter().filter(of).map(ToString::to_string).collect()
}

fn has(import: &Import, verdict: Verdict, words: &[&str]) -> bool {
    notes(import, verdict).iter().any(|note| words.iter().all(|word| note.contains(word)))
}

#[test]
fn the_pair_with_nopreempt_imports() {
    let import = import_fixture("vmware-nfs.conf", None);
    let instance = &import.settings.instances[0];
    assert_eq!((instance.router_id, instance.priority, instance.version), (222, 101, 2));
    assert!(!instance.preempt);
    assert_eq!(instance.addresses[0].address.to_string(), "192.0.2.222/24");
    assert_eq!(instance.notify[0].command, ["/etc/keepalived/notify.sh"]);
    assert!(instance.notify[0].arguments && instance.notify[0].on.is_empty());
    let script = &import.settings.scripts[0];
    assert_eq!(script.command, ["/usr/bin/killall", "-0", "nfsd"]);
    assert_eq!((script.interval, script.weight), (Duration::from_secs(2), -20));
    assert_eq!(script.initial, InitialState::Wait);
    assert!(has(
        &import,
        Verdict::Warning,
        &["vmware-nfs.conf:15", "nopreempt beside state MASTER"]
    ));
    assert!(has(&import, Verdict::Warning, &["vmware-nfs.conf:9", "`killall -0`"]));
    assert_eq!(notes(&import, Verdict::Warning).len(), 2, "{:#?}", import.findings);
    assert!(has(&import, Verdict::Approximated, &["without label"]));
    assert_eq!(notes(&import, Verdict::Refused), [""; 0]);
}

#[test]
fn the_pair_with_conditions_imports_on_each_node() {
    for (id, priority) in [("nfs1", 101), ("nfs2", 100)] {
        let import = import_fixture("iscsi-ocfs2-nfs.conf", Some(id));
        let instance = &import.settings.instances[0];
        assert_eq!((instance.router_id, instance.priority), (101, priority));
        let password = AuthenticationSettings::Pass { password: "storage1".into() };
        assert_eq!(instance.authentication, Some(password));
        assert_eq!(instance.addresses[0].address.to_string(), "198.51.100.101/24");
        assert_eq!(instance.tracks.len(), 2);
        assert_eq!(instance.notify[0].command, ["/usr/local/sbin/ha-notify", "--syslog"]);
        assert_eq!(instance.notify[0].user.as_deref(), Some("root"));
        let nfs = import.settings.scripts.iter().find(|script| script.name == "chk_nfs").unwrap();
        assert_eq!((nfs.rise, nfs.fall, nfs.timeout), (2, 3, Some(Duration::from_secs(2))));
        assert!(has(&import, Verdict::Warning, &["nfs.conf:2", "systemctl status"]));
        assert!(has(&import, Verdict::Warning, &["nfs.conf:7", "as root"]));
        assert!(has(&import, Verdict::Warning, &["client.conf:2", "pings"]));
        assert!(has(&import, Verdict::Warning, &["notify", "as root"]));
        assert!(has(&import, Verdict::Refused, &["virtual_server", "LVS"]));
        assert!(!import.to_toml().unwrap().contains("auth_pass storage1"));
        assert!(!has(&import, Verdict::Warning, &["same priority"]));
    }
}

#[test]
fn a_configuration_for_several_nodes_needs_an_id() {
    let error = import(&fixture("iscsi-ocfs2-nfs.conf"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("nfs1, nfs2"), "{error}");
}

const MINIMAL: &str = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n priority 90\n\
                       virtual_ipaddress {\n 192.0.2.1\n }\n";

#[test]
fn every_line_has_its_account() {
    let text = format!("{MINIMAL} smtp_alert\n garp_master_delay 1\n strange thing\n}}\n");
    let import = import_text(&text);
    let lines: Vec<usize> = import.findings.iter().map(|finding| finding.place.line).collect();
    for (number, line) in text.lines().enumerate() {
        let counts = !line.contains('}');
        assert_eq!(lines.contains(&(number + 1)), counts, "line {}: {line}", number + 1);
    }
    assert!(lines.is_sorted());
    assert!(has(&import, Verdict::Refused, &["strange thing"]));
    assert!(has(&import, Verdict::Mapped, &["garp_master_delay 1", "announce.again_after"]));
}

#[test]
fn equal_priorities_of_two_ids_are_told() {
    let text = format!("{MINIMAL} @a nopreempt\n @b preempt\n}}\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.conf");
    fs::write(&path, text).unwrap();
    let import = import(&path, &Options { config_id: Some("a".into()) }).unwrap();
    assert!(has(&import, Verdict::Warning, &["`b` has the same priority 90"]));
}

#[test]
fn dangers_are_told() {
    let long =
        format!("{MINIMAL} authentication {{\n auth_type PASS\n auth_pass 123456789\n }}\n}}\n");
    let import = import_text(&long);
    assert!(has(&import, Verdict::Warning, &["auth_pass ...", "first eight"]));
    assert!(!notes(&import, Verdict::Warning).concat().contains("123456789"));
    let none = MINIMAL.replace(" priority 90\n", "") + "}\n";
    assert!(has(&import_text(&none), Verdict::Warning, &["no priority"]));
    let script = format!("vrrp_script c {{\n script \"pidof nfsd | grep 1\"\n}}\n{MINIMAL}}}\n");
    let import = import_text(&script);
    assert!(has(&import, Verdict::Warning, &["no shell"]));
    assert!(has(&import, Verdict::Warning, &["`pidof`"]));
    assert!(has(&import, Verdict::Warning, &["no script_user"]));
    assert_eq!(import.settings.scripts[0].command[0], "/usr/bin/env");
    let twice = format!("{MINIMAL}}}\n{}}}\n", MINIMAL.replace("V {", "W {"));
    assert!(has(&import_text(&twice), Verdict::Warning, &["virtual_router_id on this interface"]));
}

#[test]
fn settings_that_cannot_run_are_told() {
    let text = format!("{MINIMAL} track_script {{\n missing\n }}\n}}\n");
    assert!(has(&import_text(&text), Verdict::Warning, &["do not run", "`missing`"]));
    let text = format!("{MINIMAL} advert_int 0.5\n}}\n");
    assert!(has(&import_text(&text), Verdict::Warning, &["do not run", "500ms"]));
}

#[test]
fn the_text_of_a_script_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("check");
    fs::write(&script, "#!/bin/sh\n# ping is not used\nif /bin/ping -c1 host; then exit 0; fi\n")
        .unwrap();
    let text =
        format!("vrrp_script c {{\n script {}\n user x\n}}\n{MINIMAL}}}\n", script.display());
    assert!(has(&import_text(&text), Verdict::Warning, &["in that script", "pings"]));
}

#[test]
fn ah_and_other_things_are_refused_by_name() {
    let text = format!(
        "{MINIMAL} authentication {{\n auth_type AH\n auth_pass x\n }}\n virtual_routes {{\n 10.0.0.0/8 \
         via 192.0.2.9\n }}\n}}\nvirtual_server_group g {{\n}}\nbfd_instance b {{\n}}\n"
    );
    let import = import_text(&text);
    assert_eq!(import.settings.instances[0].authentication, None);
    for words in [["AH", "withdrew"], ["virtual_routes", "notify script"], ["bfd_instance", "here"]]
    {
        assert!(has(&import, Verdict::Refused, &words), "{words:?}");
    }
}

#[test]
fn groups_tracks_and_ipv6_are_mapped() {
    let text = "global_defs {\n vrrp_version 3\n vrrp_garp_master_repeat 2\n vrrp_startup_delay 1.5\n\
        script_user daemon\n}\n\
        track_file f {\n file /run/f\n weight 2\n}\n\
        vrrp_track_process p {\n process nfsd\n quorum 2\n terminate_delay 0.5\n}\n\
        vrrp_instance six {\n interface eth0\n virtual_router_id 6\n priority 100\n advert_int 0.25\n\
        unicast_src_ip 2001:db8::1\n unicast_peer { 2001:db8::2 }\n use_vmac\n\
        virtual_ipaddress {\n 2001:db8::10/64\n }\n virtual_ipaddress_excluded {\n 192.0.2.7/24 dev eth1\n }\n\
        track_file {\n f weight 3 reverse\n }\n track_interface {\n eth1 weight -10\n }\n\
        preempt_delay 3\n notify_master \"/bin/m 'a b'\" daemon\n}\n\
        vrrp_sync_group G {\n group {\n six\n }\n track_process {\n p\n }\n notify /bin/n\n}\n";
    let import = import_text(text);
    let settings = &import.settings;
    settings.check().unwrap();
    assert_eq!(settings.startup_delay, Duration::from_millis(1500));
    let six = &settings.instances[0];
    assert_eq!((six.version, six.advert_interval), (3, Duration::from_millis(250)));
    assert_eq!((six.peers.len(), six.peer_min_ttl, six.announce.count), (1, 64, 2));
    assert_eq!(six.excluded_addresses[0].interface.as_deref(), Some("eth1"));
    assert_eq!(six.notify[0].command, ["/bin/m", "a b"]);
    assert_eq!((six.notify[0].on.clone(), six.notify[0].arguments), (vec!["master".into()], false));
    assert_eq!(six.tracks[0].weight, Some(0), "Keepalived zeroes it in a group");
    assert_eq!(settings.groups[0].tracks[0].process.as_deref(), Some("p"));
    assert_eq!(settings.processes[0].down_delay, Duration::from_millis(500));
    assert_eq!(notes(&import, Verdict::Refused), [""; 0]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z@$={}\"'\\\\ \n!#~/*0-9.:]{0,200}") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.conf");
        fs::write(&path, text).unwrap();
        let _ = import(&path, &Options { config_id: Some("a".into()) });
    }
}
