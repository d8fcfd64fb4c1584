//! For the tests only: libselinux, which judges our labels, is linked statically and needs what Cargo does not know of.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-tests=-L/usr/lib/x86_64-linux-gnu");
    println!("cargo:rustc-link-arg-tests=-l:libpcre2-8.a");
}
