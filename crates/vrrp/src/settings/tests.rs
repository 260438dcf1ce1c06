use super::*;

const SAMPLE: &str = r#"
[vrrp]
startup_delay = "5s"
notify_fifo = "/run/standfast/vrrp.fifo"

[[vrrp.script]]
name = "chk_nfsd"
command = ["/usr/local/bin/check_nfs", "--quick"]
interval = "2s"
rise = 2
fall = 3
weight = -20
user = "keeper"

[[vrrp.instance]]
name = "nfs"
interface = "eth0"
router_id = 222
version = 2
priority = 101
addresses = ["192.0.2.10/24", { address = "192.0.2.11", interface = "eth1" }]
authentication = { type = "pass", password = "secret" }
announce = { count = 3, again_after = "1s", refresh = "1m" }
track = [{ script = "chk_nfsd" }, { interface = "eth1", weight = -10 }]
notify = [{ command = ["/usr/local/bin/notify"], on = ["master"] }]
"#;

fn parse(text: &str) -> Result<Settings, toml::de::Error> {
    toml::from_str::<File>(text).map(|file| file.vrrp)
}

#[test]
fn a_sample_is_read() {
    let settings = parse(SAMPLE).unwrap();
    let instance = &settings.instances[0];
    assert_eq!(settings.startup_delay, Duration::from_secs(5));
    assert_eq!(instance.advert_interval, Duration::from_secs(1));
    assert_eq!(instance.addresses[1].address.to_string(), "192.0.2.11/32");
    assert_eq!(instance.addresses[1].interface.as_deref(), Some("eth1"));
    assert_eq!(instance.announce.refresh, Some(Duration::from_secs(60)));
    assert_eq!(instance.tracks[0].target(), Some((TrackKind::Script, "chk_nfsd")));
    assert!(instance.notify[0].concerns("MASTER") && !instance.notify[0].concerns("BACKUP"));
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn what_is_written_is_read_back() {
    let file = toml::from_str::<File>(SAMPLE).unwrap();
    let text = toml::to_string(&file).unwrap();
    assert_eq!(toml::from_str::<File>(&text).unwrap(), file);
}

#[test]
fn a_misspelt_key_is_named() {
    let error = parse(&SAMPLE.replace("priority", "priorty")).unwrap_err();
    assert!(error.to_string().contains("priorty"), "{error}");
    let error = parse(&SAMPLE.replace("192.0.2.10/24", "192.0.2/24")).unwrap_err();
    assert!(error.to_string().contains("192.0.2/24"), "{error}");
}

#[test]
fn a_track_names_one_thing() {
    let both = TrackSettings {
        script: Some("a".into()),
        interface: Some("b".into()),
        ..TrackSettings::default()
    };
    assert_eq!(both.target(), None);
    assert_eq!(TrackSettings::default().target(), None);
}
