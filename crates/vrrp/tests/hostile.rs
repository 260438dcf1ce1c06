//! The check of the fuzz target, on inputs that need no fuzzer.

#[path = "../../../fuzz/checks/smoke.rs"]
mod smoke;
#[path = "../../../fuzz/checks/vrrp.rs"]
mod vrrp;

#[test]
fn advertisements() {
    let addresses = [[192, 0, 2, 10], [192, 0, 2, 11]].concat();
    let v2 = [vec![0x21, 7, 100, 2, 0, 1, 0, 0], addresses.clone(), vec![0; 8]].concat();
    let password = [vec![0x21, 7, 100, 2, 1, 1, 0, 0], addresses.clone(), b"password".to_vec()];
    let v3 = [vec![0x31, 7, 254, 2, 0, 100, 0, 0], addresses].concat();
    let v6 = [vec![0x31, 7, 0, 1, 0, 1, 0, 0], vec![0xfe; 16]].concat();
    smoke::smoke(&[v2, password.concat(), v3, v6], vrrp::check);
}
