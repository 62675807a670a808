//! Links the images by `virt.x`.

fn main() {
    println!("cargo::rerun-if-changed=virt.x");
    println!("cargo::rustc-link-arg-bins=-T{}/virt.x", env!("CARGO_MANIFEST_DIR"));
}
