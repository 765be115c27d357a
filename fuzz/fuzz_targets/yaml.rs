//! See `crates/fuzzing/src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = fuzzing::target("yaml");
    (target.run)(data);
});
