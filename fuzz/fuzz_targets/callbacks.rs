#![no_main]

#[path = "../checks/callbacks.rs"]
mod check;
#[path = "../checks/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
