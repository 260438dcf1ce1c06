//! The check of the fuzz target, on inputs that need no fuzzer.

#[path = "../../../fuzz/checks/heartbeat.rs"]
mod heartbeat;
#[path = "../../../fuzz/checks/smoke.rs"]
mod smoke;

#[test]
fn datagrams() {
    let header = [
        b"SFHB".to_vec(),
        vec![1, 2, 0, 0x0f],
        vec![7; 16],
        [1_u64, 2, 5, 1234, 8].map(u64::to_be_bytes).concat(),
    ]
    .concat();
    let numbers = [1_u64, 3_000_000, 55, 9, 77].map(u64::to_be_bytes).concat();
    let reports = [&[0_u8, 1, 1][..], &1_u64.to_be_bytes(), &3_u64.to_be_bytes()].concat();
    let release = [&[0_u8, 1][..], &5_u64.to_be_bytes(), &2_u64.to_be_bytes()].concat();
    let renewal =
        [&[8_u64, 54, 20_000, 350_000].map(u64::to_be_bytes).concat()[..], &[0, 1], &[0; 8]]
            .concat();
    let full = [header.clone(), numbers, vec![1], reports, release, renewal].concat();
    smoke::smoke(&[header, full], heartbeat::check);
}
