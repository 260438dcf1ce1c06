#![no_main]

#[path = "../checks/nfs4.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
