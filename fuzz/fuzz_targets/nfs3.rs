#![no_main]

#[path = "../checks/nfs3.rs"]
mod check;
#[path = "../checks/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
