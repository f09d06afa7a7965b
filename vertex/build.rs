//! Passes the name of the build profile to the crate: cargo gives build scripts only `debug` or `release`.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // target/PROFILE/build/vertex-HASH/out
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let folder = Path::new(&out).ancestors().nth(3).and_then(Path::file_name);
    let profile = folder.map_or_else(|| "unknown".into(), |name| name.to_string_lossy());
    println!("cargo:rustc-env=BUILD_PROFILE={profile}");
}
