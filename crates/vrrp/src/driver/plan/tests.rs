use super::*;
use crate::settings::File;

const SAMPLE: &str = r#"
[[vrrp.script]]
name = "check"
command = ["/usr/bin/true"]
weight = -20

[[vrrp.instance]]
name = "a"
interface = "eth0"
router_id = 7
addresses = ["192.0.2.10/24"]
track = [{ script = "check" }, { interface = "eth1", weight = 5 }, { service = "nfs" }]

[[vrrp.instance]]
name = "b"
interface = "eth0"
router_id = 8
addresses = ["192.0.2.11/24"]
track = [{ interface = "eth1" }]

[[vrrp.group]]
name = "both"
instances = ["a", "b"]
track = [{ script = "check", weight = 0 }]
"#;

fn plan(text: &str) -> Result<Plan, String> {
    let file: File = toml::from_str(text).unwrap();
    Plan::new(&file.vrrp).map_err(|error| error.to_string())
}

#[test]
fn names_become_numbers() {
    let plan = plan(SAMPLE).unwrap();
    assert_eq!(plan.tracks.len(), 3);
    let weights: Vec<(usize, i32)> =
        plan.routers[0].tracks.iter().map(|(id, weight)| (id.0, weight.value)).collect();
    assert_eq!(weights, [(0, -20), (1, 5), (2, 0), (0, 0)]);
    assert_eq!(plan.routers[1].tracks[0].0, TrackId(1));
    assert!(plan.routers.iter().all(|router| router.config.grouped));
    assert_eq!(plan.groups[0].members, [0, 1]);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let refusal = |from: &str, to: &str| {
        assert!(SAMPLE.contains(from));
        plan(&SAMPLE.replacen(from, to, 1)).unwrap_err()
    };
    assert!(refusal("router_id = 8", "router_id = 7").contains("taken on eth0 by instance `a`"));
    assert!(refusal("router_id = 8", "router_id = 0").contains("from 1 to 255"));
    assert!(refusal("\"a\", \"b\"", "\"a\", \"c\"").contains("no instance `c`"));
    assert!(refusal("name = \"b\"", "name = \"a\"").contains("another one of this name"));
    assert!(refusal("script = \"check\" }", "script = \"chk\" }").contains("`chk`"));
    assert!(refusal("router_id = 8", "version = 4\nrouter_id = 8").contains("neither 2 nor 3"));
    assert!(refusal("/usr/bin/true", "true").contains("no absolute path"));
    let ah = "authentication = { type = \"ah\", password = \"x\" }\nrouter_id = 8";
    assert!(refusal("router_id = 8", ah).contains("withdrew"));
    assert!(refusal("router_id = 8", "peers = [\"::1\"]\nrouter_id = 8").contains("peer ::1"));
    assert_eq!(plan("").unwrap_err(), PlanError::Empty.to_string());
}
